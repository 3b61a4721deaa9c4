"""Training: settings, loop, state and validation. Knows no run folder and no page."""

from genre_app.training.config import TrainConfig
from genre_app.training.fit import EpochResult, fit

__all__ = ["EpochResult", "TrainConfig", "fit"]
