"""Decode audio once and keep its features in a cache on disk."""
