"""Augmentation: random changes of the training audio and of its spectrograms."""
