"""Training elsewhere: in a notebook on Kaggle, or on a Ray cluster. Only `cli` imports this package."""
