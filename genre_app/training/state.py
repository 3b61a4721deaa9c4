"""Training state between two steps: save it and load it bit-exactly."""

from __future__ import annotations

import copy
import json
import math
from collections.abc import Callable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from torch import Tensor, optim

from genre_app.checkpoint import Checkpoint
from genre_app.data.dataset import Dataset
from genre_app.errors import DataError, first_line
from genre_app.features import FeatureSpec
from genre_app.models import GenreModel, create_model
from genre_app.training.config import TrainConfig
from genre_app.training.stages import make_optimiser
from genre_app.training.state_file import previous, read_state, write_state

_KEY, _DATA = "genre_app_state", "genre_app_data"


class DamagedStateError(DataError):
    """The file of a state is damaged, or belongs to a run with other settings."""

    def __init__(self, path: Path, reason: str) -> None:
        self.reason = reason
        super().__init__(
            f"{path} is damaged or belongs to other settings ({reason}), so the run cannot be resumed; start a new one."
        )


@dataclass
class Progress:
    """How far a run has come; plain numbers only.

    Attributes
    ----------
    epoch : int
        Finished epochs, validation included.
    step : int
        Finished steps of the current epoch.
    best_log_loss : float
        Lowest validation log-loss so far; infinity before the first validation.
    best_epoch : int
        The epoch to keep so far; 0 before the first validation.
    since_best : int
        Validations since the lowest log-loss.
    pieces : int
        Parts that a batch is cut into so that it fits the memory of the device.
    seconds : float
        Time spent on training steps.
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
    """State of a training run between two steps.

    Attributes
    ----------
    model, average : GenreModel
        The trained network, and the moving average of its weights, which is validated and kept.
    optimiser : torch.optim.Optimizer
    draws : torch.Generator
        Draws the order of the tracks; the same in all processes.
    changes : torch.Generator
        Draws segments and augmentation; different in each process.
    dropout : Tensor, uint8
        State of the generator that dropout draws from.
    order : Tensor, int64 [n]
        Tracks or segments of the current epoch in their order; empty between epochs.
    total : Tensor []
        Sum of the losses of the epoch so far.
    progress : Progress
    changes_before : Tensor, uint8, or None
        State of ``changes`` before the batches that are made and not all used yet; None if all are used.
    """

    model: GenreModel
    average: GenreModel
    optimiser: optim.Optimizer
    draws: torch.Generator
    changes: torch.Generator
    dropout: Tensor
    order: Tensor
    total: Tensor
    progress: Progress
    changes_before: Tensor | None = None

    @classmethod
    def begin(cls, config: TrainConfig, train: Dataset, device: torch.device, *, init: Checkpoint | None = None) -> TrainState:
        """Return the state before the first step.

        Parameters
        ----------
        config : TrainConfig
        train : Dataset
            The standardisation is fitted on its segments.
        device : torch.device
        init : Checkpoint, optional
            Initial weights and standardisation. Its last layer is used only if it has the same genres.

        Raises
        ------
        DataError
            If the network cannot be built, or the checkpoint has another network or other features.
        """
        model, dropout = _new_model(config, train, device)
        if init is None:
            model.fit_standardisation(train.segments()[0].cpu())
        else:
            _load_initial(model, init, train.genres, config)
        return cls._around(model, dropout, config, device)

    @classmethod
    def resume(
        cls,
        config: TrainConfig,
        train: Dataset,
        device: torch.device,
        path: Path,
        data: str,
        warn: Callable[[str], None] | None = None,
    ) -> TrainState:
        """Return the state that `save` wrote to a file; parameters and errors as those of `begin` and `load`.

        If the file is damaged, the one that was saved before it is loaded, and ``warn`` gets a sentence.
        """
        state = cls._around(*_new_model(config, train, device), config, device)
        try:
            state.load(path, data)
        except DamagedStateError as error:
            if not previous(path).exists():
                raise
            state.load(previous(path), data)
            if warn is not None:
                warn(f"{path.name} is damaged ({error.reason}), so the run resumes from the state saved before it.")
        return state

    @classmethod
    def _around(cls, model: GenreModel, dropout: Tensor, config: TrainConfig, device: torch.device) -> TrainState:
        model.temperature.fill_(config.temperature)
        model.to(device)
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
        """Seed ``changes`` and ``dropout`` by the seed of the run, the rank of the process and the number of the step."""
        changes, dropout = np.random.SeedSequence((seed, rank, step)).generate_state(2, np.uint64) >> np.uint64(1)
        self.changes.manual_seed(int(changes))
        self.dropout = torch.Generator(self.changes.device).manual_seed(int(dropout)).get_state()

    def save(self, path: Path, data: str) -> None:
        """Write the state to a safetensors file, with a digest of the training data; keep the file before it."""
        tensors = {
            **self.model.state_dict(prefix="model."),
            **self.average.state_dict(prefix="average."),
            "draws": self.draws.get_state(),
            "changes": self.changes.get_state() if self.changes_before is None else self.changes_before,
            "dropout": self.dropout,
            "order": self.order,
            "total": self.total,
        }
        for number, of_parameter in self.optimiser.state_dict()["state"].items():
            tensors |= {f"optimiser.{number}.{key}": torch.as_tensor(value) for key, value in of_parameter.items()}
        # JSON has no infinity.
        numbers = {key: None if value == math.inf else value for key, value in vars(self.progress).items()}
        header = {_KEY: json.dumps(numbers), _DATA: data}
        write_state(path, tensors, header)

    def load(self, path: Path, data: str) -> None:
        """Load what `save` wrote, into a state with the same settings.

        Raises
        ------
        DataError
            If the file is missing, damaged or of another run, or the data have changed.
        """
        try:
            tensors, texts = read_state(path)
            header, digest = json.loads(texts[_KEY]), texts[_DATA]
            if digest != data:
                raise DataError(
                    "The data have changed since this run began: tracks, genres or the split are others, so it might be "
                    "validated on tracks that it was trained on; restore the data, or start a new run."
                )
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
        except DataError:
            raise
        except OSError as error:
            raise DataError(f"{path} cannot be read: {error.strerror or error}; start a new run.") from error
        except (SafetensorError, KeyError, TypeError, ValueError, RuntimeError) as error:
            raise DamagedStateError(path, first_line(error)) from error
        self.progress = progress

    def _load_optimiser(self, tensors: dict[str, Tensor]) -> None:
        state: dict[int, dict[str, Tensor]] = {}
        for key, value in tensors.items():
            if key.startswith("optimiser."):
                _, number, name = key.split(".", 2)
                state.setdefault(int(number), {})[name] = value
        self.optimiser.load_state_dict({"state": state, "param_groups": self.optimiser.state_dict()["param_groups"]})


def _new_model(config: TrainConfig, train: Dataset, device: torch.device) -> tuple[GenreModel, Tensor]:
    """Return a network with random weights, and the state of the generator that dropout draws from."""
    spec = config.spec
    sizes = {"n_bins": spec.n_bins, "n_frames": spec.input_frames, "n_genres": len(train.genres)}
    # The layers draw their weights from the global generator, so that one is seeded and put back.
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        try:
            model = create_model(config.model, settings=config.model_settings, **sizes)
        except ValueError as error:
            raise DataError(f"The network {config.model} cannot be built for these data: {first_line(error)}.") from error
        dropout = torch.get_rng_state()
    if device.type == "cuda":
        dropout = torch.Generator(device).manual_seed(config.seed).get_state()
    return model, dropout


def _kind(name: str, spec: FeatureSpec) -> str:
    return f"a {name} on {spec.n_bins} bins of {spec.kind}" + (f" ({spec.compression})" if spec.compression != "db" else "")


def _load_initial(model: GenreModel, init: Checkpoint, genres: tuple[str, ...], config: TrainConfig) -> None:
    ours = _kind(config.model, config.spec)
    fitting = [member.model for member in init.members if _kind(member.model.name, member.spec) == ours]
    if len(fitting) != 1:
        theirs = " and ".join(_kind(member.model.name, member.spec) for member in init.members)
        raise DataError(
            f"checkpoint {init.name} holds {theirs}, this run trains {ours}; choose a checkpoint with one network that fits."
        )
    own, initial = model.state_dict(), fitting[0].state_dict()
    with torch.device("meta"):  # the last layer is what changes its shape with the number of genres
        other = type(model)(model.n_bins, model.n_frames, model.n_genres + 1, model.settings).state_dict()
    last = {key for key, value in other.items() if key in own and value.shape != own[key].shape}
    taken = {
        key: value
        for key, value in initial.items()
        if key in own and value.shape == own[key].shape and (key not in last or init.genres == tuple(genres))
    }
    missing = sorted(set(own) - set(taken) - last)
    if missing:
        raise DataError(
            f"checkpoint {init.name} has no tensor {missing[0]!r} of the shape in this run's network; "
            "choose a checkpoint with the same model_settings and segment length."
        )
    model.load_state_dict(taken, strict=False)
