"""Read and write checkpoint files.

A checkpoint is a safetensors file, so that loading runs no code. `genre_app.checkpoint_header` defines its metadata. The
tensors are ``members.<index>.<key of the state dict>`` and, for the knn vote, ``references.probabilities`` and
``references.labels``. In version 1, the tensors of the only network are ``model.<key>``. What the networks see of each genre
may be stored as ``memory.<member>.<last layer>.<field of HeadMemory>``.

Reading trusts nothing. The sizes in the file are compared with those of the network before memory of that size is allocated. A
file is refused if a part is missing, superfluous, of another shape or not finite.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, fields
from functools import partial
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from genre_app.checkpoint_header import KEY, MAX_FILE_BYTES, Header, MemberEntry, UnusableError, parse_header
from genre_app.errors import CheckpointError, first_line
from genre_app.features import FeatureSpec, batch_size
from genre_app.files import write_whole
from genre_app.models import GenreModel, create_model
from genre_app.models.size import largest_result
from genre_app.vote import References

_PROBABILITIES, _LABELS, _MEMORY = "references.probabilities", "references.labels", "memory."
# Far above every checkpoint of the project, so that a hostile file cannot exhaust memory.
_MAX_HEADER_BYTES = 4_000_000
_MAX_RESULT_VALUES = 1 << 28  # of a layer for a batch: 1 GB, and six times those of any published system
_DTYPES = {torch.float32: "F32", torch.float16: "F16", torch.bfloat16: "BF16", torch.int64: "I64", torch.bool: "BOOL"}


@dataclass(frozen=True, eq=False)
class HeadMemory:
    """Normal distribution of the inputs of a network's last layer in each genre, float32.

    Attributes
    ----------
    means : Tensor [g, d]
        Of each genre.
    factors : Tensor [r, d]
        Strongest directions of the covariance within genres, which all genres share.
    residual : Tensor [d]
        Standard deviation of each input that the factors leave.
    """

    means: Tensor
    factors: Tensor
    residual: Tensor


Memory = tuple[tuple[HeadMemory, ...], ...]


def write_file(
    path: Path, header: Header, models: Sequence[GenreModel], references: References | None, memory: Memory | None = None
) -> None:
    """Write a checkpoint file; after an interruption, the old file or the new one is complete.

    Raises
    ------
    ValueError
        If metrics or provenance hold a NaN or an infinity.
    """
    # Programs that do not know these fields can then read all files that do not need them.
    unused = {name for name, default in (("temperature", 1.0), ("none_of_these", [])) if getattr(header, name) == default}
    text = json.dumps(header.model_dump(mode="json", exclude=unused), allow_nan=False)
    Header.model_validate_json(text)  # refuses a lone surrogate, as in the name of a file that is not UTF-8
    tensors = {
        f"members.{index}.{key}": value.detach().cpu().contiguous()
        for index, model in enumerate(models)
        for key, value in model.state_dict().items()
    }
    if references:
        tensors[_PROBABILITIES] = torch.from_numpy(references.probabilities.astype(np.float32))
        tensors[_LABELS] = torch.from_numpy(references.labels.astype(np.int64))
    for index, of_heads in enumerate(memory or ()):
        for head, of_head in enumerate(of_heads):
            for field in fields(of_head):
                tensors[f"{_MEMORY}{index}.{head}.{field.name}"] = getattr(of_head, field.name).contiguous()
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, save(tensors, {KEY: text}))


def read_file(path: Path) -> tuple[Header, list[GenreModel], References | None, Memory | None]:
    """Read a checkpoint file; the networks are in evaluation mode on the CPU.

    Raises
    ------
    CheckpointError
        If the file cannot be read, or is not exactly what `write_file` or an earlier version of it writes.
    """
    try:
        _check_bytes(path)
        with safe_open(path, framework="pt", device="cpu") as file:
            header, prefixes = parse_header((file.metadata() or {}).get(KEY))
            models = _load_models(file, header, prefixes)
            return header, models, _load_references(file, header), _load_memory(file, header, models)
    except UnusableError as error:
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
        raise UnusableError("is empty")
    if size > MAX_FILE_BYTES:
        raise UnusableError(f"has {size / 1e9:.1f} GB, more than any checkpoint of this project")
    if head.startswith(b"PK\x03\x04"):
        raise UnusableError(
            "is a zip archive, as torch.save writes, not a safetensors file; such files can run code and are not opened"
        )
    if size > 8 and head[8:] != b"{":
        if head[0] == 0x80 and 2 <= head[1] <= 5:
            raise UnusableError("is a pickle, not a safetensors file; such files can run code and are not opened")
        raise UnusableError("is not a safetensors file")
    if size > 8 and length > _MAX_HEADER_BYTES:
        raise UnusableError(f"states a header of {length} bytes, more than any checkpoint of this project has")
    if size < 8 + length:
        raise UnusableError(f"is truncated: it ends after {size} bytes, within its header")


def _load_models(file: safe_open, header: Header, prefixes: list[str]) -> list[GenreModel]:
    creates = [partial(_create, member, len(header.genres)) for member in header.members]
    try:
        with torch.device("meta"):  # shapes without memory
            shells = [create() for create in creates]
    except (ValueError, RuntimeError) as error:
        raise UnusableError(f"describes a network that cannot be built: {first_line(error)}") from error
    expected = [shell.state_dict() for shell in shells]
    wanted = {f"{prefix}{key}" for prefix, state in zip(prefixes, expected, strict=True) for key in state}
    found = {key for key in file.keys() if key not in (_PROBABILITIES, _LABELS) and not key.startswith(_MEMORY)}  # noqa: SIM118
    for problem, keys in (("lacks", wanted - found), ("has the superfluous", found - wanted)):
        if keys:
            more = f" and {len(keys) - 1} more" if len(keys) > 1 else ""
            raise UnusableError(f"{problem} tensor {sorted(keys)[0][:80]!r}{more}")
    models = []
    for create, prefix, shell, shapes, member in zip(creates, prefixes, shells, expected, header.members, strict=True):
        state = {key: _read(file, f"{prefix}{key}", tuple(value.shape), value.dtype) for key, value in shapes.items()}
        _check_results(shell, member.spec)
        # Allocate the network only now that the file is known to hold as much. Its random initial values are overwritten, so
        # they must not change the caller's random state.
        with torch.random.fork_rng(devices=[]):
            model = create()
        model.load_state_dict(state, strict=True)
        model.requires_grad_(False).eval()
        _check_output(model, member.spec, len(header.genres))
        models.append(model)
    return models


def _create(member: MemberEntry, n_genres: int) -> GenreModel:
    spec, entry = member.spec, member.model
    return create_model(entry.name, settings=entry.settings, n_bins=spec.n_bins, n_frames=spec.input_frames, n_genres=n_genres)


def _check_results(shell: GenreModel, spec: FeatureSpec) -> None:
    """Refuse a network whose results would exhaust memory: a small file can describe a layer with any number of them."""
    # An upper bound: a map of a convolution has a value for each bin and frame, a unit of another layer one for each frame.
    widths = [value.shape[0] * (spec.n_bins if value.ndim > 2 else 1) for value in shell.state_dict().values() if value.ndim]
    if max(widths) * spec.input_frames * batch_size(spec) <= _MAX_RESULT_VALUES:
        return  # The first exact count of a process takes a second.
    with suppress(RuntimeError):  # the network cannot process its segments: `_check_output` tells why
        if largest_result(shell.eval()) * batch_size(spec) > _MAX_RESULT_VALUES:
            raise UnusableError("describes a network too large for its segments; train a smaller one, or on shorter segments")


def _check_output(model: GenreModel, spec: FeatureSpec, n_genres: int) -> None:
    try:
        with torch.inference_mode():
            shape = tuple(model(torch.zeros(1, spec.n_bins, spec.input_frames)).shape)
    except RuntimeError as error:
        raise UnusableError(f"has a network that cannot process its own segments: {first_line(error)}") from error
    if shape != (1, n_genres):
        raise UnusableError(f"has a network with outputs {shape} for {n_genres} genres")


def _read(file: safe_open, key: str, shape: tuple[int, ...], dtype: torch.dtype) -> Tensor:
    """Read a tensor that must have this shape and type and be finite."""
    stored = file.get_slice(key)
    if tuple(stored.get_shape()) != shape or stored.get_dtype() != _DTYPES.get(dtype):
        raise UnusableError(
            f"has tensor {key!r} as {stored.get_dtype()} {list(stored.get_shape())} "
            f"where {_DTYPES.get(dtype, dtype)} {list(shape)} belongs"
        )
    # Not a map of the file: another program that overwrites it would kill this process, and Windows could not replace it.
    value: Tensor = file.get_tensor(key).clone()
    if not bool(torch.isfinite(value).all()):
        raise UnusableError(f"has values that are not finite in tensor {key!r}")
    return value


def _load_memory(file: safe_open, header: Header, models: Sequence[GenreModel]) -> Memory | None:
    found = {key for key in file.keys() if key.startswith(_MEMORY)}  # noqa: SIM118 (the file is no dictionary)
    if not found:
        return None
    memory = []
    for index, model in enumerate(models):
        of_heads = []
        for head, layer in enumerate(model.heads().values()):
            prefix, width = f"{_MEMORY}{index}.{head}.", layer.in_features
            keys = {field.name: prefix + field.name for field in fields(HeadMemory)}
            if not found.issuperset(keys.values()):
                raise UnusableError(f"lacks a tensor {prefix}*")
            found -= set(keys.values())
            n_factors = next(iter(file.get_slice(keys["factors"]).get_shape()), 0)
            if n_factors > width:
                raise UnusableError(f"has more rows in tensor {keys['factors']!r} than columns")
            shapes = {"means": (len(header.genres), width), "factors": (n_factors, width), "residual": (width,)}
            of_heads.append(HeadMemory(**{name: _read(file, keys[name], shapes[name], torch.float32) for name in keys}))
        memory.append(tuple(of_heads))
    if found:
        raise UnusableError(f"has the superfluous tensor {sorted(found)[0][:80]!r}")
    return tuple(memory)


def _load_references(file: safe_open, header: Header) -> References | None:
    keys = {_PROBABILITIES, _LABELS} & set(file.keys())
    if header.knn is None and not keys:
        return None
    if header.knn is None or len(keys) != 2:
        raise UnusableError("must have both tensors of knn references and their k, or none of them")
    n_tracks = int(next(iter(file.get_slice(_LABELS).get_shape()), 0))
    probabilities = _read(file, _PROBABILITIES, (n_tracks, len(header.genres)), torch.float32)
    labels = _read(file, _LABELS, (n_tracks,), torch.int64)
    try:
        return References(probabilities.numpy(), labels.numpy(), header.knn.k)
    except ValueError as error:
        raise UnusableError(f"has unusable knn references: {error}") from error
