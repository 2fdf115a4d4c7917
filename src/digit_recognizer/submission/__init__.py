"""The submission file, sending it to Kaggle, and the ledger."""
