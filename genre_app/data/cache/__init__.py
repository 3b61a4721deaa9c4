"""Decode audio once and keep its features in a cache on disk.

`store` holds what `mel_cache` and `feature_table` share; `prepare` finds or builds the cache of a folder with `build` (the
folder of one cache), `workers` (decoding processes) and `rows` (the features of one file).
"""
