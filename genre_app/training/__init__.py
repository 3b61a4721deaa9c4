"""Training: settings, loop, state, validation and cross-validation. Knows no run folder and no page."""

from genre_app.training.config import TrainConfig
from genre_app.training.fit import EpochResult, fit

__all__ = ["EpochResult", "TrainConfig", "fit"]
