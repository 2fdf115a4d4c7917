"""Train, tune, ensemble and submit CNNs for Kaggle's digit-recognizer competition."""
