"""Training: its settings and its loop."""

from genre_app.training.config import TrainConfig
from genre_app.training.fit import EpochResult, fit

__all__ = ["EpochResult", "TrainConfig", "fit"]
