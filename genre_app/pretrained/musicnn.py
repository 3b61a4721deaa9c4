"""The networks of the package ``musicnn`` 0.1.0 as checkpoints.

Its wheel holds the weights. The package itself needs TensorFlow 1, so the wheel is downloaded and read, but never installed.
"""

from __future__ import annotations

import ast
import hashlib
import subprocess
import sys
import zipfile
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from genre_app.checkpoint import Checkpoint
from genre_app.errors import CheckpointError, first_line
from genre_app.features import FeatureSpec
from genre_app.models import GenreModel, create_model
from genre_app.pretrained.bundle import read_bundle

NETWORKS = {"MSD_musicnn": "Million Song Dataset", "MTT_musicnn": "MagnaTagATune"}
"""Name of each network, and of its training data."""

SPEC = FeatureSpec(
    sample_rate=16000,
    n_fft=512,
    hop_length=256,
    n_mels=96,
    fmax=8000.0,
    compression="log10_10000",
    segment_seconds=2.976,
    segment_hop_seconds=1.488,
)
"""Features of the published networks, with segments of 187 frames as in their training."""

_REQUIREMENT = "musicnn==0.1.0"
_FILE = "musicnn-0.1.0-py3-none-any.whl"
_BYTES = 29_292_476
_SHA256 = "f38a4890c648c1ddbb141c5d96d2b0a8cfcd36746002d896989f7b88beb65cfa"
_DOWNLOAD_SECONDS = 600
_MAX_MEMBER_BYTES = 20_000_000  # the weights have 9.5 MB
_WEIGHTS = {"weight": "kernel", "bias": "bias"}
_NORM = {"weight": "gamma", "bias": "beta", "running_mean": "moving_mean", "running_var": "moving_variance"}
# Class of a layer, its kind in the names of the tensors, and its tensors.
_LAYERS = (
    ((nn.Conv1d, nn.Conv2d), "conv2d", _WEIGHTS),
    (nn.Linear, "dense", _WEIGHTS),
    ((nn.BatchNorm1d, nn.BatchNorm2d), "batch_normalization", _NORM),
)


def fetch_wheel(folder: Path) -> Path:
    """Download the wheel into a folder with pip, without its dependencies; return its path.

    Raises
    ------
    CheckpointError
        If pip fails, for example without a network.
    """
    # --only-binary: building a source package would run its code.
    options = ["--no-deps", "--only-binary=:all:", "--no-input", "--quiet", "--disable-pip-version-check"]
    command = [sys.executable, "-m", "pip", "download", *options, "--dest", str(folder), _REQUIREMENT]
    what = f"{_REQUIREMENT} could not be downloaded with pip"
    remedy = "check the network, or download the wheel elsewhere and name it with --wheel"
    try:
        done = subprocess.run(  # noqa: S603 - no shell
            command, capture_output=True, text=True, errors="replace", timeout=_DOWNLOAD_SECONDS, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise CheckpointError(f"{what} within {_DOWNLOAD_SECONDS // 60} minutes; {remedy}") from error
    if done.returncode or not (folder / _FILE).is_file():
        reason = (done.stderr.strip().splitlines() or ["no reason given"])[-1].removeprefix("ERROR: ")
        raise CheckpointError(f"{what} ({reason}); {remedy}")
    return folder / _FILE


def load_pretrained(which: str, wheel: Path | None = None) -> Checkpoint:
    """Return a published network as a checkpoint, from a wheel or, without one, from a download.

    Raises
    ------
    CheckpointError
        As `fetch_wheel` and `read_wheel`.
    """
    if wheel is not None:
        return read_wheel(wheel, which)
    with TemporaryDirectory() as folder:
        return read_wheel(fetch_wheel(Path(folder)), which)


def read_wheel(path: Path, which: str, *, n_bytes: int = _BYTES, sha256: str = _SHA256) -> Checkpoint:
    """Read a network from the wheel.

    Its outputs are 50 tags, of which several can be true. Their names stand in the place of genres.

    Parameters
    ----------
    path : pathlib.Path
    which : str
        One of `NETWORKS`.
    n_bytes : int
        Expected size of the wheel.
    sha256 : str
        Expected SHA-256 of the wheel, hexadecimal.

    Raises
    ------
    CheckpointError
        If the file cannot be read or is not the expected one.
    """
    try:
        size = path.stat().st_size
        if size != n_bytes:
            state = "truncated" if size < n_bytes else "not the published file"
            raise CheckpointError(f"{path} is {state}: it has {size} bytes, not {n_bytes}; download it again")
        found = hashlib.sha256(path.read_bytes()).hexdigest()
        if found != sha256:
            raise CheckpointError(f"{path} is not the published file: its SHA-256 is {found}, not {sha256}; download it again")
        with zipfile.ZipFile(path) as archive:
            index, data = (_member(archive, f"musicnn/{which}/{name}") for name in (".index", ".data-00000-of-00001"))
            labels = _labels(_member(archive, "musicnn/configuration.py").decode(), which.replace("musicnn", "LABELS"))
            licence = _member(archive, f"{_REQUIREMENT.replace('==', '-')}.dist-info/LICENSE.md").decode()
    except OSError as error:
        raise CheckpointError(f"{path} cannot be read: {error.strerror or error}") from error
    except (zipfile.BadZipFile, KeyError, ValueError, SyntaxError) as error:
        if isinstance(error, CheckpointError):
            raise
        raise CheckpointError(f"{path} is damaged: {first_line(error)}; download it again") from error
    try:
        model = _model(read_bundle(index, data), len(labels))
    except (ValueError, RuntimeError) as error:
        raise CheckpointError(f"the weights of {which} in {path} cannot be used: {first_line(error)}") from error
    source = {
        "package": _REQUIREMENT,
        "network": which,
        "sha256": found,
        "authors": "Jordi Pons and Xavier Serra, Music Technology Group, Universitat Pompeu Fabra",
        "trained_on": NETWORKS[which],
    }
    outputs = "50 tags, of which several can be true; training with --init-from replaces the last layer by one for genres"
    provenance = {"source": source, "outputs": outputs, "licence": "ISC", "licence_text": licence.strip()}
    return Checkpoint.single(model, SPEC, labels, provenance=provenance, name=which)


def _member(archive: zipfile.ZipFile, name: str) -> bytes:
    size = archive.getinfo(name).file_size
    if size > _MAX_MEMBER_BYTES:
        raise ValueError(f"{name} has {size} bytes, more than {_MAX_MEMBER_BYTES}")
    return archive.read(name)


def _labels(code: str, name: str) -> tuple[str, ...]:
    """Return the list of names that a Python file assigns to ``name``, without running the file."""
    for statement in ast.parse(code).body:
        if isinstance(statement, ast.Assign) and ast.unparse(statement.targets[0]) == name:
            return tuple(map(str, ast.literal_eval(statement.value)))
    raise ValueError(f"configuration.py has no {name}")


def _model(tensors: Mapping[str, NDArray[np.float32]], n_tags: int) -> GenreModel:
    """Return the network with the weights of a TensorFlow checkpoint."""
    with torch.random.fork_rng(devices=[]):  # the random initial weights are overwritten
        model = create_model("musicnn", n_bins=SPEC.n_bins, n_frames=SPEC.segment_frames, n_genres=n_tags)
    counts: Counter[str] = Counter()
    for module in model.modules():
        kind, names = next(((kind, names) for cls, kind, names in _LAYERS if isinstance(module, cls)), ("", {}))
        if not kind:
            continue
        # TensorFlow numbers the layers of each kind in their order: conv2d, conv2d_1, conv2d_2.
        layer = f"{kind}_{counts[kind]}" if counts[kind] else kind
        counts[kind] += 1
        for ours, theirs in names.items():
            values: Tensor = getattr(module, ours)
            if f"{layer}/{theirs}" not in tensors:
                raise ValueError(f"there is no tensor {layer}/{theirs}")
            # TensorFlow's order of axes is the reverse: frames, bins, in, out.
            found = tensors[f"{layer}/{theirs}"].transpose()
            if found.size != values.numel():
                raise ValueError(f"tensor {layer}/{theirs} has {found.size} values, not {values.numel()}")
            values.data.copy_(torch.from_numpy(found.reshape(values.shape).copy()))
    return model.requires_grad_(False)
