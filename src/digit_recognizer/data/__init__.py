"""input/: bringing the data there, reading it, folds, and digit images from files."""
