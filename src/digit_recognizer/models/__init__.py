"""Networks, their layers, building a model, and prediction with it."""
