"""Recipes, and the commands that train and compare them: ``python -m train RECIPE --data DATA``."""
