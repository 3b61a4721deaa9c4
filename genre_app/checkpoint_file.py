"""The file format of checkpoints.

Format
------
A safetensors file, so that loading runs no code. Its metadata has one key, ``genre_app``, whose value is JSON:
``format_version``, ``spec`` (a `FeatureSpec`), ``model`` (name and settings), ``genres``, ``metrics``, ``provenance`` and
``knn`` (``k``, or null). The tensors are ``model.<key of the state dict>`` and, for the knn vote,
``references.probabilities`` and ``references.labels``.

Reading trusts nothing. The sizes in the file are compared with those of the network before memory of that size is allocated. A
file is refused if a part is missing, superfluous, of another shape or not finite.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Literal

import numpy as np
import torch
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

_KEY = "genre_app"
_PROBABILITIES, _LABELS = "references.probabilities", "references.labels"
# Far above every checkpoint of the project, so that a hostile file cannot exhaust memory.
_MAX_FILE_BYTES = 1_000_000_000
_MAX_HEADER_BYTES = 4_000_000
_MAX_GENRES = 1000
_MAX_GENRE_LENGTH = 40
_DTYPES = {torch.float32: "F32", torch.float16: "F16", torch.bfloat16: "BF16", torch.int64: "I64", torch.bool: "BOOL"}


class ModelEntry(BaseModel):
    """Name and settings of the network."""

    model_config = ConfigDict(extra="forbid")
    name: str
    settings: dict[str, JsonValue]


class KnnEntry(BaseModel):
    """Settings of the knn vote."""

    model_config = ConfigDict(extra="forbid")
    k: int = Field(ge=1)


class Header(BaseModel):
    """The JSON in the metadata of the file."""

    model_config = ConfigDict(extra="forbid")
    format_version: Literal[1]
    spec: FeatureSpec
    model: ModelEntry
    genres: list[str] = Field(min_length=2)
    metrics: dict[str, JsonValue]
    provenance: dict[str, JsonValue]
    knn: KnnEntry | None

    @field_validator("genres")
    @classmethod
    def _are_names(cls, genres: list[str]) -> list[str]:
        check_genres(genres)
        return genres


class _Version(BaseModel):
    format_version: int


class _UnusableError(Exception):
    """The file cannot be used; the message continues "checkpoint PATH ..."."""


def check_genres(genres: Sequence[str]) -> None:
    """Refuse genres whose names a checkpoint cannot hold.

    Raises
    ------
    ValueError
        Names the genre and the reason, in one part of a sentence.
    """
    if len(genres) > _MAX_GENRES:
        raise ValueError(f"{len(genres)} genres are more than {_MAX_GENRES}")
    known: dict[str, str] = {}
    for genre in genres:
        # Tables, CSV and JSON show each name on one line.
        if not genre.strip() or genre != genre.strip() or not genre.isprintable() or len(genre) > _MAX_GENRE_LENGTH:
            shown = f"{genre[:_MAX_GENRE_LENGTH]!r}{'...' if len(genre) > _MAX_GENRE_LENGTH else ''}"
            raise ValueError(
                f"the genre {shown} is not a printable name of 1 to {_MAX_GENRE_LENGTH} letters without spaces around it"
            )
        other = known.setdefault(genre.casefold(), genre)
        if other != genre:
            raise ValueError(f"the genres {other!r} and {genre!r} differ only in upper and lower case")
    if len(known) < len(genres):
        raise ValueError("a genre is named twice")


def write_file(path: Path, header: Header, model: GenreModel, references: References | None) -> None:
    """Write a checkpoint file; after an interruption, the old file or the new one is complete.

    Raises
    ------
    ValueError
        If metrics or provenance hold a NaN or an infinity.
    """
    text = json.dumps(header.model_dump(mode="json"), allow_nan=False)
    tensors = {f"model.{key}": value.detach().cpu().contiguous() for key, value in model.state_dict().items()}
    if references:
        tensors[_PROBABILITIES] = torch.from_numpy(references.probabilities.astype(np.float32))
        tensors[_LABELS] = torch.from_numpy(references.labels.astype(np.int64))
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, save(tensors, {_KEY: text}))


def read_file(path: Path) -> tuple[Header, GenreModel, References | None]:
    """Read a checkpoint file; the network is in evaluation mode on the CPU.

    Raises
    ------
    CheckpointError
        If the file cannot be read, or is not exactly what `write_file` writes.
    """
    try:
        _check_bytes(path)
        with safe_open(path, framework="pt", device="cpu") as file:
            header = _parse_header((file.metadata() or {}).get(_KEY))
            return header, _load_model(file, header), _load_references(file, header)
    except _UnusableError as error:
        raise CheckpointError(f"checkpoint {path} {error}") from error
    except OSError as error:
        raise CheckpointError(f"checkpoint {path} cannot be read: {error.strerror or error}") from error
    except SafetensorError as error:
        raise CheckpointError(f"checkpoint {path} is truncated or damaged ({error}); copy or download it again") from error


def _check_bytes(path: Path) -> None:
    """Refuse a file by its size and its first bytes, before safetensors opens it."""
    size = path.stat().st_size
    with path.open("rb") as file:
        head = file.read(9)
    length = int.from_bytes(head[:8], "little")
    if size == 0:
        raise _UnusableError("is empty")
    if size > _MAX_FILE_BYTES:
        raise _UnusableError(f"has {size / 1e9:.1f} GB, more than any checkpoint of this project")
    if head.startswith(b"PK\x03\x04"):
        raise _UnusableError(
            "is a zip archive, as torch.save writes, not a safetensors file; such files can run code and are not opened"
        )
    if size > 8 and head[8:] != b"{":
        if head[0] == 0x80 and 2 <= head[1] <= 5:
            raise _UnusableError("is a pickle, not a safetensors file; such files can run code and are not opened")
        raise _UnusableError("is not a safetensors file")
    if size > 8 and length > _MAX_HEADER_BYTES:
        raise _UnusableError(f"states a header of {length} bytes, more than any checkpoint of this project has")
    if size < 8 + length:
        raise _UnusableError(f"is truncated: it ends after {size} bytes, within its header")


def _parse_header(text: str | None) -> Header:
    if text is None:
        raise _UnusableError(f"is a safetensors file without a {_KEY} header, so not one of this project")
    try:
        version = _Version.model_validate_json(text).format_version
        if version != FORMAT_VERSION:
            raise _UnusableError(
                f"has format version {version}, this program reads version {FORMAT_VERSION}; "
                f"{'update the program' if version > FORMAT_VERSION else 'train it again'}"
            )
        header = Header.model_validate_json(text)
        # The JSON number 1e999 is read as infinity, which could not be written as JSON again.
        json.dumps([header.metrics, header.provenance], allow_nan=False)
    except ValueError as error:
        raise _UnusableError(f"has a malformed header: {first_line(error)}") from error
    return header


def _load_model(file: safe_open, header: Header) -> GenreModel:
    spec, entry, n_genres = header.spec, header.model, len(header.genres)
    sizes = {"n_bins": spec.n_bins, "n_frames": spec.input_frames, "n_genres": n_genres}
    create = partial(create_model, entry.name, settings=entry.settings, **sizes)
    try:
        with torch.device("meta"):  # shapes without memory
            expected = create().state_dict()
    except (ValueError, RuntimeError) as error:
        raise _UnusableError(f"describes a network that cannot be built: {first_line(error)}") from error
    wanted = {f"model.{key}" for key in expected}
    found = set(file.keys()) - {_PROBABILITIES, _LABELS}
    for problem, keys in (("lacks", wanted - found), ("has the superfluous", found - wanted)):
        if keys:
            more = f" and {len(keys) - 1} more" if len(keys) > 1 else ""
            raise _UnusableError(f"{problem} tensor {sorted(keys)[0][:80]!r}{more}")
    state = {key: _read(file, f"model.{key}", tuple(value.shape), value.dtype) for key, value in expected.items()}
    # Allocate the network only now that the file is known to hold as much. Its random initial values are overwritten, so they
    # must not change the caller's random state.
    with torch.random.fork_rng(devices=[]):
        model = create()
    model.load_state_dict(state, strict=True)
    model.requires_grad_(False).eval()
    try:
        with torch.inference_mode():
            shape = tuple(model(torch.zeros(1, spec.n_bins, spec.input_frames)).shape)
    except RuntimeError as error:
        raise _UnusableError(f"has a network that cannot process its own segments: {first_line(error)}") from error
    if shape != (1, n_genres):
        raise _UnusableError(f"has a network with outputs {shape} for {n_genres} genres")
    return model


def _read(file: safe_open, key: str, shape: tuple[int, ...], dtype: torch.dtype) -> Tensor:
    """Read a tensor that must have this shape and type and be finite."""
    stored = file.get_slice(key)
    if tuple(stored.get_shape()) != shape or stored.get_dtype() != _DTYPES.get(dtype):
        raise _UnusableError(
            f"has tensor {key!r} as {stored.get_dtype()} {list(stored.get_shape())} "
            f"where {_DTYPES.get(dtype, dtype)} {list(shape)} belongs"
        )
    value: Tensor = file.get_tensor(key)
    if not bool(torch.isfinite(value).all()):
        raise _UnusableError(f"has values that are not finite in tensor {key!r}")
    return value


def _load_references(file: safe_open, header: Header) -> References | None:
    keys = {_PROBABILITIES, _LABELS} & set(file.keys())
    if header.knn is None and not keys:
        return None
    if header.knn is None or len(keys) != 2:
        raise _UnusableError("must have both tensors of knn references and their k, or none of them")
    n_tracks = int(next(iter(file.get_slice(_LABELS).get_shape()), 0))
    probabilities = _read(file, _PROBABILITIES, (n_tracks, len(header.genres)), torch.float32)
    labels = _read(file, _LABELS, (n_tracks,), torch.int64)
    try:
        return References(probabilities.numpy().copy(), labels.numpy().copy(), header.knn.k)
    except ValueError as error:
        raise _UnusableError(f"has unusable knn references: {error}") from error
