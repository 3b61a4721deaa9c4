"""How outputs are written as JSON, and how those of today are compared with the recorded ones."""

from __future__ import annotations

import hashlib
import json
import math
import platform
import re
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
import torch
from threadpoolctl import threadpool_limits

RECORDED = Path(__file__).with_name("outputs.json")
DIGEST = "sha256"
# Largest difference of a number where the environment differs from the recorded one. Other processors round differently;
# through two epochs of training such differences grow, and a codec or a gate may amplify them.
TOLERANCES = {
    "probabilities": 1e-4,
    "features": 1e-2,
    "summary": 1e-2,
    "chains": 1e-2,
    "waveforms": 1e-2,
    "previews": 1e-2,
    "training": 1e-2,
    "conditions": 1e-2,
    "api": 1e-4,
    "command": 1e-4,
    "noise": 1e-4,
    "old_run": 1e-2,
    "old_waveform_recipe": 5e-2,  # all parts one after the other, two lossy codecs among them: numpy 2.4 and 2.5 differ by 0.03
}
HOW: set[str] = set()
"""How sections were compared, for the end of the tests' report."""
_PACKAGES = ("torch", "torchaudio", "numpy", "scipy", "librosa", "soxr", "av", "soundfile", "audiomentations", "scikit-learn")
_NUMBER = re.compile(r"-?\d+(?:\.\d+)?(?:e[+-]?\d+)?")
_SAMPLED = 12  # values of a large array that are recorded beside its digest


@contextmanager
def one_thread() -> Iterator[None]:
    """Compute with one thread: sums have another order with more."""
    n_threads = torch.get_num_threads()
    with threadpool_limits(1):
        torch.set_num_threads(1)
        try:
            yield
        finally:
            torch.set_num_threads(n_threads)


def environment() -> dict[str, str]:
    """Return everything that the last bit of a result may depend on, apart from the code of this project."""
    return {
        **{name: version(name) for name in _PACKAGES},
        "libsndfile": soundfile.__libsndfile_version__,
        "machine": platform.machine(),
        "cpu_capability": torch.backends.cpu.get_cpu_capability(),
        "cpu": _cpu(),
        "threads": "1",
    }


def _cpu() -> str:
    """Return the processor's name, numbers and a digest of its instruction sets, where Linux states them."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").split("\n\n")[0].splitlines()
    except OSError:
        return platform.processor()
    stated = dict(map(str.strip, line.split(":", 1)) for line in lines if ":" in line)
    flags = " ".join(sorted(stated.get("flags", "").split()))
    names = ("model name", "cpu family", "model", "stepping")
    return ", ".join([*(stated.get(name, "") for name in names), hashlib.sha256(flags.encode()).hexdigest()[:12]])


def summarised(values: torch.Tensor | np.ndarray) -> dict[str, Any]:
    """Return what tells a large array: its digest, its shape, its root mean square and some of its values."""
    array = np.ascontiguousarray(torch.as_tensor(values).numpy())
    flat = array.astype(np.float64).ravel()
    places = np.linspace(0, len(flat) - 1, min(_SAMPLED, len(flat))).round().astype(int)
    return {
        DIGEST: hashlib.sha256(array.tobytes()).hexdigest(),
        "shape": list(array.shape),
        "rms": round(float(np.sqrt(np.mean(flat**2))), 5),
        "values": flat[places].round(5).tolist(),
    }


def weights_digest(*states: dict[str, torch.Tensor]) -> dict[str, str]:
    """Return a digest of all tensors, which depends neither on their names nor on their order."""
    each = sorted(
        hashlib.sha256(f"{value.dtype}{list(value.shape)}".encode() + value.cpu().contiguous().numpy().tobytes()).hexdigest()
        for state in states
        for value in state.values()
    )
    return {DIGEST: hashlib.sha256("".join(each).encode()).hexdigest()}


def as_json(found: Any) -> Any:
    """Return outputs as JSON reads them back; numbers keep every bit."""
    return json.loads(json.dumps(found, allow_nan=False))


def read() -> dict[str, Any]:
    """Read what was recorded, nothing where there is no file."""
    return json.loads(RECORDED.read_text(encoding="utf-8")) if RECORDED.exists() else {}


def write(recorded: dict[str, Any]) -> None:
    """Write what was recorded, with short lists on one line."""
    text = json.dumps(recorded, indent=1, allow_nan=False)
    text = re.sub(r"\[[^\[\]{}]*\]", lambda found: re.sub(r"\n\s+", " ", found[0]), text)
    RECORDED.write_text(text + "\n", encoding="utf-8")


def how_compared(section: str, recorded: dict[str, str]) -> tuple[float, str]:
    """Return the tolerance that applies to a section here, 0 for an exact comparison, and a sentence that says why."""
    here = environment()
    differing = [f"{name} {here.get(name)} instead of {value}" for name, value in recorded.items() if here.get(name) != value]
    if not differing:
        return 0.0, "Compared bit for bit: the environment is the recorded one."
    tolerance = TOLERANCES[section]
    return tolerance, f"Compared within {tolerance:g} and without digests, because of: {'; '.join(differing)}."


def differences(expected: Any, found: Any, tolerance: float, place: str = "") -> Iterator[str]:
    """Yield a line for each place where outputs differ by more than a tolerance."""
    if expected == found and type(expected) is type(found):
        return
    if isinstance(expected, dict) and isinstance(found, dict):
        for key in expected | found:
            if key not in expected or key not in found:
                yield f"{place}/{key} {'is missing' if key in expected else 'was not recorded'}"
            elif key != DIGEST or not tolerance:
                yield from differences(expected[key], found[key], tolerance, f"{place}/{key}")
    elif isinstance(expected, list) and isinstance(found, list) and len(expected) == len(found):
        for index, pair in enumerate(zip(expected, found, strict=True)):
            yield from differences(*pair, tolerance, f"{place}/{index}")
    elif not _close(expected, found, tolerance):
        yield f"{place}: {found!r}, recorded {expected!r}"


def _close(expected: Any, found: Any, tolerance: float) -> bool:
    if isinstance(expected, str) and isinstance(found, str):  # a line of CSV
        one, other = (_NUMBER.findall(text) for text in (expected, found))
        same_words = _NUMBER.sub("", expected) == _NUMBER.sub("", found)
        return same_words and all(_close(float(a), float(b), tolerance) for a, b in zip(one, other, strict=True))
    if isinstance(expected, int | float) and isinstance(found, int | float):
        return tolerance > 0 and math.isclose(expected, found, abs_tol=tolerance, rel_tol=tolerance)
    return False
