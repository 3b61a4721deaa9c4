"""All that a training run has in its head between two steps, and how it is put down and taken up to the bit."""

from __future__ import annotations

import copy
import json
import math
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from genre_app.checkpoint import Checkpoint
from genre_app.data.dataset import Dataset
from genre_app.errors import DataError
from genre_app.files import write_whole
from genre_app.models import GenreModel, create_model
from genre_app.training.config import TrainConfig

_KEY, _DATA = "genre_app_state", "genre_app_data"


class _ChangedError(Exception):
    pass


@dataclass
class Progress:
    """Where a run stands; all of it plain numbers.

    Attributes
    ----------
    epoch : int
        Epochs that are over, validation included.
    step : int
        Steps done of the epoch under way.
    best_log_loss : float
        Least so far of the validations, the mean over files and imitated recordings where there are any; infinity before the
        first.
    best_epoch : int
        To which it belongs; 0 before the first.
    since_best : int
        Validations since then.
    pieces : int
        Parts that a batch is cut into so that it fits the device's memory.
    seconds : float
        Spent in training so far.
    """

    epoch: int = 0
    step: int = 0
    best_log_loss: float = math.inf
    best_epoch: int = 0
    since_best: int = 0
    pieces: int = 1
    seconds: float = 0.0


@dataclass(eq=False)
class TrainState:
    """A run between two steps.

    Attributes
    ----------
    model, average : GenreModel
        What is trained, and the running average of its weights, which is validated and kept.
    optimiser : torch.optim.Optimizer
    draws, changes : torch.Generator
        For the order of the tracks, which several processes share, and for what is drawn for each segment, which they do not.
    dropout : Tensor, uint8
        State of the generator that dropout draws from.
    order : Tensor, int64 [n]
        Tracks or segments of the epoch under way in the order of their turn; empty between epochs.
    total : Tensor []
        Sum of the losses of the epoch's steps.
    progress : Progress
    """

    model: GenreModel
    average: GenreModel
    optimiser: torch.optim.Optimizer
    draws: torch.Generator
    changes: torch.Generator
    dropout: Tensor
    order: Tensor
    total: Tensor
    progress: Progress

    @classmethod
    def begin(cls, config: TrainConfig, train: Dataset, device: torch.device, *, init: Checkpoint | None = None) -> TrainState:
        """Return the state before the first step.

        Parameters
        ----------
        config : TrainConfig
        train : Dataset
            Its segments give the standardisation.
        device : torch.device
        init : Checkpoint, optional
            Its weights are taken over, those of the last layer only if it knows the same genres.

        Raises
        ------
        DataError
            If the checkpoint is of another network or other features.
        """
        spec = config.spec
        sizes: dict[str, Any] = {"n_bins": spec.n_bins, "n_frames": spec.input_frames, "settings": config.model_settings}
        # The initial weights take no generator, so the global one is set and put back.
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(config.seed)
            model = create_model(config.model, n_genres=len(train.genres), **sizes)
            dropout = torch.get_rng_state()
        if device.type == "cuda":
            dropout = torch.Generator(device).manual_seed(config.seed).get_state()
        if init is None:
            model.fit_standardisation(train.segments()[0].cpu())
        else:
            _take_over(model, init, train.genres, config)
        model.temperature.fill_(config.temperature)
        model.to(device)
        if config.freeze == "convolutions":
            for part in frozen(model, config):
                part.requires_grad_(False)
        return cls(
            model=model,
            average=copy.deepcopy(model).requires_grad_(False),
            optimiser=make_optimiser(model, config),
            draws=torch.Generator(device).manual_seed(config.seed),
            changes=torch.Generator(device).manual_seed(config.seed + 1),
            dropout=dropout,
            order=torch.empty(0, dtype=torch.int64, device=device),
            total=torch.zeros((), device=device),
            progress=Progress(),
        )

    def reseed(self, seed: int, rank: int, step: int) -> None:
        """Let what is drawn for each segment depend on these three numbers alone."""
        changes, dropout = np.random.SeedSequence((seed, rank, step)).generate_state(2, np.uint64) >> np.uint64(1)
        self.changes.manual_seed(int(changes))
        self.dropout = torch.Generator(self.changes.device).manual_seed(int(dropout)).get_state()

    def save(self, path: Path, data: str) -> None:
        """Write everything to a safetensors file, which is there whole or not at all, with what tells the data."""
        tensors = {
            **{f"model.{key}": value for key, value in self.model.state_dict().items()},
            **{f"average.{key}": value for key, value in self.average.state_dict().items()},
            "draws": self.draws.get_state(),
            "changes": self.changes.get_state(),
            "dropout": self.dropout,
            "order": self.order,
            "total": self.total,
        }
        for number, of_parameter in self.optimiser.state_dict()["state"].items():
            tensors |= {f"optimiser.{number}.{key}": torch.as_tensor(value) for key, value in of_parameter.items()}
        # JSON has no infinity.
        numbers = {key: None if value == math.inf else value for key, value in vars(self.progress).items()}
        header = {_KEY: json.dumps(numbers), _DATA: data}
        write_whole(path, save({key: value.detach().cpu().contiguous() for key, value in tensors.items()}, header))

    def load(self, path: Path, data: str) -> None:
        """Take up what `save` wrote, in a state that was begun with the same settings and data.

        Raises
        ------
        DataError
            If the file is missing, damaged or of another run, or the data have changed since.
        """
        try:
            with safe_open(path, framework="pt", device="cpu") as file:
                metadata = file.metadata() or {}
                header, learned = json.loads(metadata[_KEY]), metadata[_DATA]
                tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 - not a mapping
            if learned != data:
                raise _ChangedError
            numbers: dict[str, Any] = {key: math.inf if value is None else value for key, value in header.items()}
            progress = Progress(**{field.name: numbers[field.name] for field in fields(Progress)})
            for name, network in (("model.", self.model), ("average.", self.average)):
                network.load_state_dict({key[len(name) :]: value for key, value in tensors.items() if key.startswith(name)})
            self._load_optimiser(tensors)
            self.draws.set_state(tensors["draws"])
            self.changes.set_state(tensors["changes"])
            self.dropout = tensors["dropout"]
            self.order = tensors["order"].to(self.order.device)
            self.total = tensors["total"].to(self.total.device)
        except _ChangedError:
            raise DataError(
                "The data have changed since this run began: other tracks, genres or parts, so that it might be judged on what "
                "it has learned; put them back as they were, or start a new run."
            ) from None
        except OSError as error:
            raise DataError(f"{path} cannot be read: {error.strerror or error}; start the run again.") from error
        except (SafetensorError, KeyError, TypeError, ValueError, RuntimeError) as error:
            reason = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise DataError(
                f"{path} is damaged or belongs to other settings ({reason}), so the run cannot go on from it; start it again."
            ) from error
        self.progress = progress

    def _load_optimiser(self, tensors: dict[str, Tensor]) -> None:
        state: dict[int, dict[str, Tensor]] = {}
        for key, value in tensors.items():
            if key.startswith("optimiser."):
                _, number, name = key.split(".", 2)
                state.setdefault(int(number), {})[name] = value
        self.optimiser.load_state_dict({"state": state, "param_groups": self.optimiser.state_dict()["param_groups"]})


def make_optimiser(model: GenreModel, config: TrainConfig) -> torch.optim.Optimizer:
    """Return the optimiser of what may be trained; only matrices and kernels are decayed."""
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    groups: list[dict[str, Any]] = [
        {"params": [p for p in trained if p.ndim > 1], "weight_decay": config.weight_decay},
        {"params": [p for p in trained if p.ndim <= 1], "weight_decay": 0.0},
    ]
    of_name: dict[str, type[Any]] = {
        "adamw": torch.optim.AdamW,
        "adam": torch.optim.Adam,
        "sgd": torch.optim.SGD,
        "rmsprop": torch.optim.RMSprop,
    }
    optimiser: torch.optim.Optimizer = of_name[config.optimiser](groups, lr=config.learning_rate)
    return optimiser


def frozen(model: GenreModel, config: TrainConfig) -> list[torch.nn.Module]:
    """Parts of the network that training leaves as they are, their running statistics included.

    Raises
    ------
    DataError
        If convolutions are to be frozen in a network that has none.
    """
    if config.freeze == "none":
        return []
    parts = list(model.trunk())
    if not parts:
        raise DataError(f"the network {config.model} has no convolutions to freeze; leave out freeze.")
    return parts


def _take_over(model: GenreModel, init: Checkpoint, genres: tuple[str, ...], config: TrainConfig) -> None:
    if init.model.name != config.model or init.spec.n_bins != config.spec.n_bins or init.spec.kind != config.spec.kind:
        raise DataError(
            f"checkpoint {init.name} holds a {init.model.name} on {init.spec.n_bins} bins of {init.spec.kind}, this run trains "
            f"a {config.model} on {config.spec.n_bins} bins of {config.spec.kind}; choose a checkpoint that fits the recipe."
        )
    ours, theirs = model.state_dict(), init.model.state_dict()
    with torch.device("meta"):  # what changes its shape with the number of genres is the last layer
        other = type(model)(model.n_bins, model.n_frames, model.n_genres + 1, model.settings).state_dict()
    last = {key for key, value in other.items() if key in ours and value.shape != ours[key].shape}
    taken = {
        key: value
        for key, value in theirs.items()
        if key in ours and value.shape == ours[key].shape and (key not in last or init.genres == tuple(genres))
    }
    missing = sorted(set(ours) - set(taken) - last)
    if missing:
        raise DataError(
            f"checkpoint {init.name} has no tensor {missing[0]!r} of the shape that this run's network has; "
            "choose one that was trained with the same model_settings and segment length."
        )
    model.load_state_dict(taken, strict=False)
