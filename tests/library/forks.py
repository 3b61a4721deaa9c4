"""What forks of the tests do in place of the library's own work: what is slow, crashes, or sees no file."""

from __future__ import annotations

import os
import time

from genre_app.library import classify
from genre_app.library.ray_engine import Actor
from tests import forked


def _slowly() -> None:
    def slow(tasks, work, here, *others):
        for task in tasks:
            yield task, here(task)
            time.sleep(0.15)

    classify.in_pool = slow


class SlowCommand(forked.Forked):
    """A command that classifies in its own process, and takes its time."""

    prepare = _slowly


def crash(task, names, identity):
    """Take the place of `classify._in_worker`; 2.flac crashes the worker."""
    if task.track.path == "2.flac":
        os._exit(139)
    return _in_worker(task, names, identity)


_in_worker = classify._in_worker


class CrashingActor(Actor):
    """2.flac crashes this actor of Ray."""

    def result(self, path):
        if path.name == "2.flac":
            os._exit(139)
        return super().result(path)


class ActorElsewhere(Actor):
    """It sees no file of the library."""

    def result(self, path):
        return super().result(path / "not mounted")
