"""The data in input/: fetching and reading it, cross-validation folds, and image files to classify."""
