"""Training elsewhere: in a notebook on Kaggle, or on a Ray cluster. No other package but `cli` knows this one."""
