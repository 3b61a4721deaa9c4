"""Threads for work that a visitor asked for besides an answer: they give way to first answers."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import torch

from genre_app.progress import usable_cores

_T = TypeVar("_T")
_R = TypeVar("_R")
_NICE = 5  # steps of priority below the rest of the process


def at_once(function: Callable[[_T], _R], items: Iterable[_T]) -> Iterator[_R]:
    """Yield ``function(item)`` for each item in order, computed by as many threads as keep the cores busy."""
    with ThreadPoolExecutor(max(1, usable_cores() // torch.get_num_threads()), initializer=_give_way) as pool:
        yield from pool.map(function, items)


def _give_way() -> None:
    """Lower the priority of this thread, which Linux allows for a thread by itself."""
    if sys.platform == "linux":
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _NICE)
