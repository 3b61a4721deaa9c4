"""Recipes and the training command: ``python -m train RECIPE --data DATA``."""
