"""Networks by name. A model sees tensors, never files or feature specifications."""

from genre_app.models.base import GenreModel, create_model, model_names, register
from genre_app.models.cnn import CNN
from genre_app.models.cnn1d import CNN1D
from genre_app.models.committee import Committee
from genre_app.models.crnn import CRNN
from genre_app.models.lstm import LSTM
from genre_app.models.mlp import MLP
from genre_app.models.resnet18 import ResNet18
from genre_app.models.stack import Stack

__all__ = [
    "CNN",
    "CNN1D",
    "CRNN",
    "LSTM",
    "MLP",
    "Committee",
    "GenreModel",
    "ResNet18",
    "Stack",
    "create_model",
    "model_names",
    "register",
]
