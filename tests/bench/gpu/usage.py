"""How busy the GPU is, and what it is called, as the driver says."""

from __future__ import annotations

import shutil
import subprocess
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from types import TracebackType

_PERIOD_SECONDS = 0.2  # NVML averages over 1/6 s to 1 s, by the card


class Usage:
    """Sample in a thread what share of the time the GPU computes; without a GPU there are no samples."""

    def __init__(self, device: str) -> None:
        self.samples: list[tuple[float, float]] = []  # time.time(), percent
        self._read = reader() if device == "cuda" else None
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._sample, daemon=True)

    def __enter__(self) -> Usage:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._ended.set()
        self._thread.join()

    def busy(self, began: float, ended: float) -> float | None:
        """Return the mean of the samples between two times, in percent; None without any."""
        found = [percent for when, percent in self.samples if began <= when <= ended]
        return sum(found) / len(found) if found else None

    def _sample(self) -> None:
        while self._read is not None and not self._ended.wait(_PERIOD_SECONDS):
            with suppress(OSError, ValueError, subprocess.SubprocessError):
                self.samples.append((time.time(), self._read()))


def reader() -> Callable[[], float] | None:
    """Return a function that reads the GPU's utilisation in percent: from NVML, else from nvidia-smi; None without either."""
    with suppress(Exception):  # whatever NVML raises, nvidia-smi may still answer
        import pynvml

        pynvml.nvmlInit()
        handle = pynvml.nvmlDeviceGetHandleByIndex(0)
        pynvml.nvmlDeviceGetUtilizationRates(handle)
        return lambda: float(pynvml.nvmlDeviceGetUtilizationRates(handle).gpu)
    return (lambda: float(_ask("utilization.gpu"))) if shutil.which("nvidia-smi") else None


def gpu_name() -> str:
    """Return the GPU's name and its driver's version."""
    with suppress(OSError, subprocess.SubprocessError):
        return _ask("name,driver_version").replace(", ", ", driver ")
    return "a GPU that nvidia-smi does not name"


def _ask(what: str) -> str:
    command = ["nvidia-smi", f"--query-gpu={what}", "--format=csv,noheader,nounits"]
    answer = subprocess.run(command, check=True, capture_output=True, text=True, timeout=10)
    return answer.stdout.splitlines()[0].strip()
