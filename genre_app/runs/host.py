"""The process that trains, and the machine it runs on."""

from __future__ import annotations

import ctypes
import os
import platform
import sys
from contextlib import suppress

import psutil
import torch

from genre_app.files import temporary_folder

NICE = "GENRE_APP_NICE"
"""Environment variable with the steps of priority that a training process gives up, 0 to 19; by default 10."""

_M_TRIM_THRESHOLD, _M_MMAP_MAX, _M_ARENA_MAX = -1, -4, -8  # parameters of glibc's mallopt
_HEAPS = 2


def prepare_process(threads: int) -> None:
    """Set the number of CPU threads, and let this process keep the memory that it frees."""
    torch.set_num_threads(threads)
    # By default, torch names it by the user, and makes no optimiser in a container whose user has no name.
    with suppress(OSError):  # others need no folder
        os.environ.setdefault("TORCHINDUCTOR_CACHE_DIR", str(temporary_folder("torch")))
    # Each step allocates and frees hundreds of megabytes; returning them to the kernel halves the speed (measured).
    _mallopt(_M_MMAP_MAX, 0)
    _mallopt(_M_TRIM_THRESHOLD, 2**31 - 1)


def share_heaps() -> None:
    """Let all threads of this process share two heaps; call it before they start.

    By default each thread gets one and keeps it: after 40 clips in the 40 threads of a server, 4 at a time, the process held
    1450 MB instead of 1120 MB (measured).
    """
    _mallopt(_M_ARENA_MAX, _HEAPS)


def _mallopt(parameter: int, value: int) -> None:
    if sys.platform == "linux" and platform.libc_ver()[0] == "glibc":
        ctypes.CDLL(None).mallopt(parameter, value)


def be_nice() -> None:
    """Lower the priority of this process, so that the page stays fast while it trains; `NICE` says by how much."""
    if sys.platform == "win32":
        psutil.Process().nice(psutil.BELOW_NORMAL_PRIORITY_CLASS)
    else:
        wanted = os.environ.get(NICE, "")
        os.nice(int(wanted) if wanted.isdecimal() else 10)


def device_name(device: torch.device) -> str:
    """Return the name of a GPU, or ``cpu``."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else device.type


def used_memory(device: torch.device) -> int:
    """Return the bytes of GPU memory that this process has reserved, on a CPU the bytes of its resident memory."""
    return torch.cuda.max_memory_reserved(device) if device.type == "cuda" else psutil.Process().memory_info().rss


def this_process() -> tuple[int, float]:
    """Return the id of this process and the time of its creation, by which `is_alive` finds it.

    The time is in seconds since 1970, on Linux since boot: there, the former changes whenever the clock is set.
    """
    boot, me = psutil.boot_time(), psutil.Process()  # in this order: see `is_alive`
    return me.pid, me.create_time() - (boot if sys.platform == "linux" else 0.0)


def is_alive(pid: int, created: float) -> bool:
    """Return whether the process of this id still runs; ``created`` is as `this_process` returns it, or since 1970."""
    try:
        # The boot time first: older versions of psutil compute times of creation from the one that was asked for last.
        boot, process = psutil.boot_time(), psutil.Process(pid)
        # The system reuses process ids, so the time of creation must agree too.
        late = process.create_time() - created
        is_same = abs(late) < 1.0 or abs(late - boot) < 0.05
        return is_same and bool(process.status() != psutil.STATUS_ZOMBIE)
    except psutil.Error:
        return False
