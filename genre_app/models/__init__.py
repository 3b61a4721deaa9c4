"""Networks by name. A model sees tensors, never files or feature specifications."""

from genre_app.models.base import GenreModel, create_model, model_names, register
from genre_app.models.cnn import CNN

__all__ = ["CNN", "GenreModel", "create_model", "model_names", "register"]
