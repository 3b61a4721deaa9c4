"""One self-contained file: a network's weights with everything needed to use them.

Format
------
A safetensors file, so that loading runs no code. Its metadata has one key, ``genre_app``, which holds JSON: ``format_version``,
``spec`` (a `FeatureSpec`), ``model`` (name and settings), ``genres``, ``metrics``, ``provenance`` and ``knn`` (``k``, or null).
Tensors are ``model.<key of the state dict>`` and, for the knn vote, ``references.probabilities`` and ``references.labels``.

Loading believes nothing: sizes are compared with those that the network has before anything of that size is allocated, and a
file with anything missing, superfluous, misshapen or not finite is refused with one sentence.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, JsonValue, field_validator
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from genre_app.errors import CheckpointError, first_line
from genre_app.features import FeatureSpec
from genre_app.files import write_whole
from genre_app.models import GenreModel, create_model
from genre_app.vote import References

FORMAT_VERSION: Literal[1] = 1
DEFAULT_CHECKPOINT = "default"
SUFFIX = ".safetensors"

_KEY = "genre_app"
_MAX_FILE_BYTES = 1_000_000_000
_MAX_HEADER_BYTES = 4_000_000
_MAX_GENRES = 1000
_MAX_GENRE_LENGTH = 40
_DTYPES = {torch.float32: "F32", torch.float16: "F16", torch.bfloat16: "BF16", torch.int64: "I64", torch.bool: "BOOL"}


@dataclass(eq=False)
class Checkpoint:
    """A network with its preprocessing and what is known about it.

    Attributes
    ----------
    model : GenreModel
        In evaluation mode.
    spec : FeatureSpec
    genres : tuple of str
        In the order of the network's outputs.
    metrics, provenance : dict
        JSON-able; what was measured, and how and from what the weights were made.
    references : References or None
        Training tracks for the knn vote.
    name : str
        How the user knows it.
    """

    model: GenreModel
    spec: FeatureSpec
    genres: tuple[str, ...]
    metrics: dict[str, Any] = field(default_factory=dict)
    provenance: dict[str, Any] = field(default_factory=dict)
    references: References | None = None
    name: str = "unnamed"

    def __post_init__(self) -> None:
        self.model.eval()

    @property
    def device(self) -> torch.device:
        """Where the network computes."""
        return self.model.bin_mean.device

    @torch.inference_mode()
    def probabilities(self, features: Tensor) -> NDArray[np.float32]:
        """Probabilities of the genres for each segment.

        Parameters
        ----------
        features : Tensor, float32 [s, bins, frames]

        Returns
        -------
        numpy.ndarray, float32 [s, g]
            Each row sums to one.

        Raises
        ------
        CheckpointError
            If the network's answer is not finite.
        """
        logits = self.model(features.to(self.device))
        probabilities: NDArray[np.float32] = torch.softmax(logits.float(), dim=-1).cpu().numpy()
        if not np.isfinite(probabilities).all():
            raise CheckpointError(
                f"checkpoint {self.name}: its network gives numbers that are not finite; use another checkpoint"
            )
        return probabilities


def check_genres(genres: Sequence[str]) -> None:
    """Refuse genres that a checkpoint cannot name.

    Raises
    ------
    ValueError
        Says which genre, and why, in half a sentence.
    """
    if len(genres) > _MAX_GENRES:
        raise ValueError(f"{len(genres)} genres are more than {_MAX_GENRES}")
    known: dict[str, str] = {}
    for genre in genres:
        # They go into tables, CSV and JSON, one line each.
        if not genre.strip() or genre != genre.strip() or not genre.isprintable() or len(genre) > _MAX_GENRE_LENGTH:
            shown = f"{genre[:_MAX_GENRE_LENGTH]!r}{'...' if len(genre) > _MAX_GENRE_LENGTH else ''}"
            raise ValueError(
                f"the genre {shown} is not a printable name of 1 to {_MAX_GENRE_LENGTH} letters without spaces around it"
            )
        other = known.setdefault(genre.casefold(), genre)
        if other != genre:
            raise ValueError(f"the genres {other!r} and {genre!r} are one name, letter case aside")
    if len(known) < len(genres):
        raise ValueError("a genre is named twice")


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid")
    name: str
    settings: dict[str, JsonValue]


class _Knn(BaseModel):
    model_config = ConfigDict(extra="forbid")
    k: int = Field(ge=1)


class _Header(BaseModel):
    model_config = ConfigDict(extra="forbid")
    format_version: Literal[1]
    spec: FeatureSpec
    model: _Model
    genres: list[str] = Field(min_length=2)
    metrics: dict[str, JsonValue]
    provenance: dict[str, JsonValue]
    knn: _Knn | None

    @field_validator("genres")
    @classmethod
    def _are_names(cls, genres: list[str]) -> list[str]:
        check_genres(genres)
        return genres


class _Version(BaseModel):
    format_version: int


def checkpoint_folder() -> Path:
    """Where the bundled checkpoints lie: inside an installed package, or beside it in a clone."""
    inside = Path(__file__).parent / "checkpoints"
    return inside if inside.is_dir() else Path(__file__).parent.parent / "checkpoints"


def bundled_checkpoints() -> list[str]:
    """Names of the checkpoints that come with the project, the default one first."""
    names = sorted(path.stem for path in checkpoint_folder().glob(f"*{SUFFIX}") if not path.name.startswith("."))
    return sorted(names, key=lambda name: name != DEFAULT_CHECKPOINT)


def save_checkpoint(checkpoint: Checkpoint, path: str | os.PathLike[str]) -> None:
    """Write a checkpoint; the file is there whole or not at all.

    Raises
    ------
    ValueError
        If metrics or provenance are not JSON (a NaN is not), or the genres are no names.
    """
    path = Path(path)
    references = checkpoint.references
    header = _Header(
        format_version=FORMAT_VERSION,
        spec=checkpoint.spec,
        model=_Model(name=checkpoint.model.name, settings=checkpoint.model.settings.model_dump(mode="json")),
        genres=list(checkpoint.genres),
        metrics=checkpoint.metrics,
        provenance=checkpoint.provenance,
        knn=_Knn(k=references.k) if references else None,
    )
    text = json.dumps(header.model_dump(mode="json"), allow_nan=False)
    tensors = {f"model.{key}": value.detach().cpu().contiguous() for key, value in checkpoint.model.state_dict().items()}
    if references:
        tensors["references.probabilities"] = torch.from_numpy(references.probabilities.astype(np.float32))
        tensors["references.labels"] = torch.from_numpy(references.labels.astype(np.int64))
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, save(tensors, {_KEY: text}))


def load_checkpoint(
    name_or_path: str | os.PathLike[str] = DEFAULT_CHECKPOINT, device: str | torch.device = "cpu"
) -> Checkpoint:
    """Load a checkpoint by the name of a bundled one or from a file.

    Raises
    ------
    CheckpointError
        If there is none, or it is not exactly what `save_checkpoint` writes.
    """
    path = _find(os.fspath(name_or_path))
    try:
        _check_bytes(path)
        with safe_open(path, framework="pt", device="cpu") as file:
            header = _parse_header((file.metadata() or {}).get(_KEY), path)
            model = _load_model(file, header, path)
            references = _load_references(file, header, path)
    except OSError as error:
        raise CheckpointError(f"checkpoint {path} cannot be read: {error.strerror or error}") from error
    except SafetensorError as error:
        raise CheckpointError(f"checkpoint {path} is truncated or damaged ({error}); copy or download it again") from error
    return Checkpoint(
        model=model.to(device),
        spec=header.spec,
        genres=tuple(header.genres),
        metrics=header.metrics,
        provenance=header.provenance,
        references=references,
        name=path.stem,
    )


def _find(given: str) -> Path:
    bundled = bundled_checkpoints()
    if given in bundled:
        return checkpoint_folder() / f"{given}{SUFFIX}"
    path = Path(given)
    if "\0" not in given and path.is_file():
        return path
    what = "is a folder" if "\0" not in given and path.is_dir() else "is neither a file nor a bundled one"
    choice = f"choose one of: {', '.join(bundled)}" if bundled else "none is bundled, so name a file"
    raise CheckpointError(f"checkpoint {given!r} {what}; {choice}")


def _check_bytes(path: Path) -> None:
    """Refuse by size and first bytes what is not worth opening."""
    size = path.stat().st_size
    with path.open("rb") as file:
        head = file.read(9)
    length = int.from_bytes(head[:8], "little")
    if size == 0:
        problem = "is empty"
    elif size > _MAX_FILE_BYTES:
        problem = f"has {size / 1e9:.1f} GB, more than any checkpoint of this project"
    elif head.startswith(b"PK\x03\x04"):
        problem = "is a zip archive, as torch.save writes, not a safetensors file; such files can run code and are not opened"
    elif size > 8 and head[8:] != b"{" and head[0] == 0x80 and 2 <= head[1] <= 5:
        problem = "is a pickle, not a safetensors file; such files can run code and are not opened"
    elif size > 8 and head[8:] != b"{":
        problem = "is not a safetensors file"
    elif size > 8 and length > _MAX_HEADER_BYTES:
        problem = f"announces a header of {length} bytes, more than any checkpoint of this project has"
    elif size < 8 + length:
        problem = f"is truncated: it ends after {size} bytes, within its header"
    else:
        return
    raise CheckpointError(f"checkpoint {path} {problem}")


def _parse_header(text: str | None, path: Path) -> _Header:
    if text is None:
        raise CheckpointError(f"checkpoint {path} is a safetensors file without a {_KEY} header, so not one of this project")
    try:
        version = _Version.model_validate_json(text).format_version
        if version != FORMAT_VERSION:
            raise CheckpointError(
                f"checkpoint {path} has format version {version}, this program reads version {FORMAT_VERSION}; "
                f"{'update the program' if version > FORMAT_VERSION else 'train it again'}"
            )
        header = _Header.model_validate_json(text)
        # JSON's 1e999 is read as infinity, which would leave as invalid JSON.
        json.dumps([header.metrics, header.provenance], allow_nan=False)
    except CheckpointError:
        raise
    except ValueError as error:
        raise CheckpointError(f"checkpoint {path} has a malformed header: {first_line(error)}") from error
    return header


def _load_model(file: safe_open, header: _Header, path: Path) -> GenreModel:
    sizes: dict[str, Any] = {
        "n_bins": header.spec.n_bins,
        "n_frames": header.spec.input_frames,
        "n_genres": len(header.genres),
        "settings": header.model.settings,
    }
    try:
        with torch.device("meta"):  # shapes without memory
            shell = create_model(header.model.name, **sizes)
    except (ValueError, RuntimeError) as error:
        raise CheckpointError(f"checkpoint {path} describes a network that cannot be built: {first_line(error)}") from error
    expected = {f"model.{key}": value for key, value in shell.state_dict().items()}
    found = set(file.keys()) - {"references.probabilities", "references.labels"}
    for problem, keys in (("lacks", set(expected) - found), ("has the superfluous", found - set(expected))):
        if keys:
            more = f" and {len(keys) - 1} more" if len(keys) > 1 else ""
            raise CheckpointError(f"checkpoint {path} {problem} tensor {sorted(keys)[0][:80]!r}{more}")
    state = {
        key: _read(file, f"model.{key}", tuple(value.shape), value.dtype, path) for key, value in shell.state_dict().items()
    }
    # Only now, when the file is known to hold that much, is the memory taken. The initial values are overwritten; drawing them
    # must not move the caller's random numbers.
    with torch.random.fork_rng(devices=[]):
        model = create_model(header.model.name, **sizes)
    model.load_state_dict(state, strict=True)
    model.requires_grad_(False).eval()
    try:
        with torch.inference_mode():
            shape = tuple(model(torch.zeros(1, header.spec.n_bins, header.spec.input_frames)).shape)
    except RuntimeError as error:
        raise CheckpointError(
            f"checkpoint {path} has a network that its own segments do not fit: {first_line(error)}"
        ) from error
    if shape != (1, len(header.genres)):
        raise CheckpointError(f"checkpoint {path} has a network with outputs {shape} for {len(header.genres)} genres")
    return model


def _read(file: safe_open, key: str, shape: tuple[int, ...], dtype: torch.dtype, path: Path) -> Tensor:
    """Read a tensor that must have this shape and type and be finite."""
    stored = file.get_slice(key)
    if tuple(stored.get_shape()) != shape or stored.get_dtype() != _DTYPES.get(dtype):
        raise CheckpointError(
            f"checkpoint {path} has tensor {key!r} as {stored.get_dtype()} {list(stored.get_shape())} "
            f"where {_DTYPES.get(dtype, dtype)} {list(shape)} belongs"
        )
    value: Tensor = file.get_tensor(key)
    if not bool(torch.isfinite(value).all()):
        raise CheckpointError(f"checkpoint {path} has values that are not finite in tensor {key!r}")
    return value


def _load_references(file: safe_open, header: _Header, path: Path) -> References | None:
    keys = {"references.probabilities", "references.labels"} & set(file.keys())
    if header.knn is None and not keys:
        return None
    if header.knn is None or len(keys) != 2:
        raise CheckpointError(f"checkpoint {path} must have both tensors of knn references and their k, or none of them")
    n_tracks = int(next(iter(file.get_slice("references.labels").get_shape()), 0))
    try:
        return References(
            _read(file, "references.probabilities", (n_tracks, len(header.genres)), torch.float32, path).numpy().copy(),
            _read(file, "references.labels", (n_tracks,), torch.int64, path).numpy().copy(),
            header.knn.k,
        )
    except CheckpointError:
        raise
    except ValueError as error:
        raise CheckpointError(f"checkpoint {path} has unusable knn references: {error}") from error
