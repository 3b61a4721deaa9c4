"""The file of a training state: tensors with a digest, so that a damaged file is noticed, and the file before it."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Mapping
from pathlib import Path

from safetensors import safe_open
from safetensors.torch import save
from torch import Tensor, uint8

from genre_app.files import move, write_whole

_DIGEST = "genre_app_sha256"


def previous(path: Path) -> Path:
    """Return the path of the state that was saved before the one in ``path``."""
    return path.with_name(f"{path.name}.previous")


def write_state(path: Path, tensors: Mapping[str, Tensor], header: Mapping[str, str]) -> None:
    """Write tensors and texts to a safetensors file with their digest, and keep the file before it."""
    held = {key: value.detach().cpu().contiguous() for key, value in tensors.items()}
    data = save(held, {**header, _DIGEST: _digest(held, header)})
    if path.exists():
        _keep(path)
    write_whole(path, data)


def read_state(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Read what `write_state` wrote; raises ValueError, `safetensors.SafetensorError` or OSError if it is damaged."""
    with safe_open(path, framework="pt", device="cpu") as file:
        header = dict(file.metadata() or {})
        # Copied, since Windows cannot replace a file that is mapped into memory.
        tensors = {key: file.get_tensor(key).clone() for key in file.keys()}  # noqa: SIM118 - not a mapping
    digest = header.pop(_DIGEST, None)  # states of earlier versions have none
    if digest is not None and digest != _digest(tensors, header):
        raise ValueError("its digest is another one")
    return tensors, header


def _keep(path: Path) -> None:
    """Give the file a second name; ``path`` exists all the time, because a run without a state starts from the beginning."""
    kept = previous(path)
    temporary = kept.with_name(f".{kept.name}.{os.getpid()}.tmp")
    temporary.unlink(missing_ok=True)
    try:
        try:
            temporary.hardlink_to(path)
        except OSError:  # not every file system has links
            shutil.copyfile(path, temporary)
        move(temporary, kept)
    finally:
        temporary.unlink(missing_ok=True)


def _digest(tensors: Mapping[str, Tensor], header: Mapping[str, str]) -> str:
    found = hashlib.sha256()
    for key in sorted(header):
        found.update(f"{len(key)} {key} {len(header[key])} {header[key]}\n".encode())
    for key in sorted(tensors):
        tensor = tensors[key]
        found.update(f"{len(key)} {key} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        if tensor.numel():
            found.update(tensor.reshape(-1).view(uint8).numpy().tobytes())
    return found.hexdigest()
