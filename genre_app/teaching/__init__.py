"""Teach a checkpoint new genres in seconds: keep its networks, and fit new last layers to a few clips.

A clip passes through `embedding`, which computes the inputs of the last layers; `cached`, which keeps them in files; `head`,
which fits the layers; and `teach`, which tests the result on clips left out and returns a checkpoint.
"""
