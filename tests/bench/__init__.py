"""Benchmarks: how fast the project is, on a CPU and on a GPU."""
