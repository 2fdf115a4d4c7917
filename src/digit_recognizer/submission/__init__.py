"""The submission file, its upload to Kaggle, and the ledger."""
