"""Training: its settings, its loop, and runs, which are training with a memory."""

from genre_app.training.config import TrainConfig
from genre_app.training.fit import EpochResult, fit

__all__ = ["EpochResult", "TrainConfig", "fit"]
