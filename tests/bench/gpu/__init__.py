"""The GPU benchmark: ``python -m tests.bench.gpu DATA`` measures what only a GPU can show, in one call of a few minutes.

A row of the table is a function in `rows`. What needs CUDA in Python runs in a process of its own (`inside`), so that a row
that fails leaves the others alone. The table is written again after each row: a call that is cut off leaves what it measured.
"""
