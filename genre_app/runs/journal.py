"""Journals of runs, read on from where they were: a long run's has tens of thousands of lines, and grows as it is watched."""

from __future__ import annotations

import json
import os
import threading
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_HEAD_BYTES = 256  # within which a journal's first line ends, which tells it from another one of the same name
_KEPT = 16  # journals


@dataclass
class _Journal:
    head: bytes
    offset: int
    changed: int
    events: list[dict[str, Any]]


_journals: OrderedDict[Path, _Journal] = OrderedDict()  # the least recently read one first
_reading = threading.Lock()


def read_journal(path: Path) -> list[dict[str, Any]]:
    """Return the events of a journal, none where there is no file; lines that a crash has cut off are passed over."""
    with _reading:
        known = _journals.pop(path, None)
        try:
            with path.open("rb") as file:
                found = os.fstat(file.fileno())
                head = file.read(len(known.head) if known else _HEAD_BYTES)
                if known is None or head != known.head or not _has_grown(known, found):
                    known = _Journal(head[: head.find(b"\n") + 1], 0, 0, [])
                known.changed = found.st_mtime_ns
                file.seek(known.offset)
                whole, newline, _ = file.read().rpartition(b"\n")
        except OSError:
            return []
        known.offset += len(whole) + len(newline)
        known.events += filter(None, map(_event, whole.split(b"\n")))
        if known.head:
            _journals[path] = known
        if len(_journals) > _KEPT:
            _journals.popitem(last=False)
        return list(known.events)


def _has_grown(known: _Journal, found: os.stat_result) -> bool:
    return found.st_size > known.offset or (found.st_size == known.offset and found.st_mtime_ns == known.changed)


def _event(line: bytes) -> dict[str, Any] | None:
    try:
        event = json.loads(line)
    except ValueError:
        return None
    return event if isinstance(event, dict) and "event" in event else None
