"""Networks by name. A network maps tensors to tensors; it knows neither files nor feature specifications.

To add a network, write one file in this folder with a class under ``@register("name")``. All modules of the folder are imported
here, so the command line, the page and the shared tests find the new name by themselves.
"""

from importlib import import_module
from pkgutil import iter_modules

from genre_app.models.base import GenreModel, ModelSettings, create_model, model_names, register, settings_class

__all__ = ["GenreModel", "ModelSettings", "create_model", "model_names", "register", "settings_class"]

for _module in iter_modules(__path__):
    import_module(f"{__name__}.{_module.name}")
