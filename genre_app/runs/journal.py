"""The journal of a run: writes its events, and reads them.

``journal.jsonl`` holds one JSON object a line: the fields of an event of `genre_app.runs.events`. The journal of a long run has
tens of thousands of lines and grows while the page shows it, so `read_journal` parses only the lines that are new.
"""

from __future__ import annotations

import os
import threading
from collections import OrderedDict
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Annotated, TypeVar

from pydantic import Field, TypeAdapter, ValidationError

from genre_app.runs.events import BaseEvent, Epoch, Event, Started

_HEAD_BYTES = 256  # enough for the first line, which tells a journal from a later one of the same name
_MAX_EVENTS = 200_000  # of all journals in memory together: about 100 MB


_E = TypeVar("_E", bound=BaseEvent)
_LINE: TypeAdapter[Event] = TypeAdapter(Annotated[Event, Field(discriminator="event")])


@dataclass(frozen=True)
class Journal:
    """The events of a run, oldest first.

    Attributes
    ----------
    events : tuple of Event
    n_broken : int
        Lines that are no events: a crash cut them off, or something else wrote them.
    """

    events: tuple[Event, ...] = ()
    n_broken: int = 0

    def last(self, kind: type[_E]) -> _E | None:
        """Return the last event of a kind, None if there is none."""
        event = self.latest(kind)
        return event if isinstance(event, kind) else None

    def latest(self, *kinds: type[BaseEvent]) -> Event | None:
        """Return the last event that is of any of the kinds, None if there is none."""
        places = [self._last_places[kind] for kind in kinds if kind in self._last_places]
        return self.events[max(places)] if places else None

    @cached_property
    def epochs(self) -> list[Epoch]:
        """Finished epochs in order; of an epoch that a resumed run repeated, the last event counts."""
        found: dict[int, Epoch] = {}
        for event in self.events:
            if isinstance(event, Started):
                found = {epoch: kept for epoch, kept in found.items() if epoch <= event.epoch}
            elif isinstance(event, Epoch):
                found[event.epoch] = event
        return [found[epoch] for epoch in sorted(found)]

    @property
    def best(self) -> Epoch | None:
        """The epoch that the checkpoint is from so far, None before the first."""
        return next((epoch for epoch in reversed(self.epochs) if epoch.best), None)

    @cached_property
    def _last_places(self) -> dict[type[BaseEvent], int]:
        return {type(event): place for place, event in enumerate(self.events)}


def add_event(path: Path, event: Event) -> None:
    """Append an event to the journal in this file. Numbers that are not finite become null."""
    line = _LINE.dump_json(event)
    with path.open("ab+") as file:
        file.seek(max(0, file.seek(0, os.SEEK_END) - 1))
        is_torn = file.read(1) not in (b"", b"\n")  # a crash cut the last line off; the new one must start a line of its own
        file.write((b"\n" if is_torn else b"") + line + b"\n")


@dataclass
class _Read:
    """What has been read of a journal: its first line, the bytes parsed so far, and when the file had changed."""

    head: bytes
    offset: int
    changed_ns: int
    journal: Journal


_known: OrderedDict[Path, _Read] = OrderedDict()  # the least recently read journal first
_reading = threading.Lock()


def read_journal(path: Path) -> Journal:
    """Return the events in this file, none if there is no file; lines that are no events are counted and left out."""
    with _reading:
        known = _known.pop(path, None)
        try:
            with path.open("rb") as file:
                found = os.fstat(file.fileno())
                head = file.read(len(known.head) if known else _HEAD_BYTES)
                if known is None or head != known.head or not _has_grown(known, found):
                    known = _Read(head[: head.find(b"\n") + 1], 0, 0, Journal())
                known.changed_ns = found.st_mtime_ns
                file.seek(known.offset)
                whole, newline, _ = file.read().rpartition(b"\n")
        except OSError:
            return Journal()
        known.offset += len(whole) + len(newline)
        if whole:
            lines = [line for line in whole.split(b"\n") if line]
            new = tuple(event for event in map(_parse, lines) if event is not None)
            known.journal = Journal(known.journal.events + new, known.journal.n_broken + len(lines) - len(new))
        if known.head:
            _known[path] = known
        while len(_known) > 1 and sum(len(read.journal.events) for read in _known.values()) > _MAX_EVENTS:
            _known.popitem(last=False)
        return known.journal


def _has_grown(known: _Read, found: os.stat_result) -> bool:
    return found.st_size > known.offset or (found.st_size == known.offset and found.st_mtime_ns == known.changed_ns)


def _parse(line: bytes) -> Event | None:
    try:
        return _LINE.validate_json(line)
    except ValidationError:
        return None
