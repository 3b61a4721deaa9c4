"""Stages of a network that training leaves unchanged for a time, and the learning rate of each stage.

References
----------
Howard and Ruder 2018, Universal language model fine-tuning for text classification: gradual unfreezing and discriminative
learning rates.
"""

from __future__ import annotations

from itertools import chain, groupby, repeat
from typing import Any

from torch import nn, optim

from genre_app.errors import DataError
from genre_app.models import GenreModel
from genre_app.training.config import TrainConfig


def frozen(model: GenreModel, config: TrainConfig, epoch: int) -> list[nn.Module]:
    """Return the modules that training leaves unchanged in an epoch, counted from 1.

    Raises
    ------
    DataError
        If layers are to be frozen, and the network has none below its head.
    """
    parts: list[nn.Module] = []
    if config.freeze == "convolutions":
        parts += model.trunk()
        if not parts:
            raise DataError(f"the network {config.model} has no convolutions to freeze; set freeze=none.")
    if config.unfreeze:
        below = model.stages()[1:]
        if not below:
            raise DataError(f"the network {config.model} has no stage below its head to freeze; set unfreeze=[].")
        shares = chain(config.unfreeze, repeat(config.unfreeze[-1]))
        for stage, share in zip(below, shares, strict=False):
            if epoch <= round(share * config.epochs):
                parts += stage
    return parts


def begin_stage(model: GenreModel, config: TrainConfig, epoch: int) -> bool:
    """Put a network into training mode for an epoch; return whether other parameters are trained than before.

    Frozen modules stay in evaluation mode, so that their statistics of batch norm do not change, and get no gradient.
    """
    parts = frozen(model, config, epoch)
    still = {id(parameter) for part in parts for parameter in part.parameters()}
    before = [parameter.requires_grad for parameter in model.parameters()]
    for parameter in model.parameters():
        parameter.requires_grad_(id(parameter) not in still)
    model.train()
    for part in parts:
        part.eval()
    return before != [parameter.requires_grad for parameter in model.parameters()]


def make_optimiser(model: GenreModel, config: TrainConfig) -> optim.Optimizer:
    """Return the optimiser of the parameters that the last epoch trains; weight decay applies to matrices and kernels only.

    A parameter that is frozen until a later epoch has no gradient, so the optimiser skips it. The learning rate of a group is
    that of the run times the group's ``rate``.
    """
    begin_stage(model, config, config.epochs)
    depths = {id(p): depth for depth, stage in enumerate(model.stages()) for module in stage for p in module.parameters()}
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]

    def kind(parameter: nn.Parameter) -> tuple[bool, float]:
        return parameter.ndim > 1, config.stage_rate ** depths[id(parameter)]

    # A saved state numbers the parameters in this order: matrices and kernels first, large rates first.
    groups: list[dict[str, Any]] = [
        {"params": list(parameters), "weight_decay": config.weight_decay if is_matrix else 0.0, "rate": rate}
        for (is_matrix, rate), parameters in groupby(sorted(trained, key=kind, reverse=True), key=kind)
    ]
    known: dict[str, type[Any]] = {"adamw": optim.AdamW, "adam": optim.Adam, "sgd": optim.SGD, "rmsprop": optim.RMSprop}
    # On a GPU, the fused implementation launches one kernel for all parameters.
    fused = all(parameter.is_cuda for parameter in trained) and config.optimiser != "rmsprop"
    options = {"fused": True} if fused else {}
    optimiser: optim.Optimizer = known[config.optimiser](groups, lr=config.learning_rate, **options)
    return optimiser
