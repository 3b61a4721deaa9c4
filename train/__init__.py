"""Recipes, and commands that train and compare them: ``python -m train RECIPE --data DATA``."""
