"""Threads for work that a visitor asked for besides an answer: they give way to first answers."""

from __future__ import annotations

import os
import sys
import threading

import torch

from genre_app.progress import usable_cores

_NICE = 5  # steps of priority below the rest of the process


def n_workers() -> int:
    """Return the number of threads that keep the cores busy, each with torch's own number of threads."""
    return max(1, usable_cores() // torch.get_num_threads())


def give_way() -> None:
    """Lower the priority of this thread, which Linux allows for a thread by itself."""
    if sys.platform == "linux":
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _NICE)
