"""Hyperparameter search: many runs of one recipe, with settings that Optuna draws from the recipe's ``[search]`` table.

`space` reads the table, `search` is the folder, `loop` goes through the trials, `trial` trains one of them, `study` is Optuna's
record, and `results` reads and writes the trials, the best first. Optuna is imported by `loop` and `study` only, since it takes
most of a second.
"""
