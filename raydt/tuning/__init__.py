"""Hyperparameters: which trials a search makes, and the rule that it fits to them."""
