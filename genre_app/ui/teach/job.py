"""What teaching and drawing a map have in common: the queue, the clips, and a thread whose progress is shown."""

from __future__ import annotations

from collections.abc import Callable, Generator
from concurrent.futures import Future
from queue import SimpleQueue
from threading import Event, Thread
from typing import Any, TypeVar

from genre_app.data.collection import Collection
from genre_app.errors import DataError
from genre_app.progress import Monitor, Progress
from genre_app.teaching.examples import Example, folder_examples
from genre_app.ui.frame import PRIVATE, in_queue

Result = TypeVar("Result")
Shown = TypeVar("Shown")

OFF = "{ __type__: 'update', interactive: false }"
"""JavaScript: the update of a button that waits for the server."""

WAITING = "'<p role=status>Waiting for the server …</p>'"
"""JavaScript: what a visitor reads until the server begins."""


def one_at_a_time(name: str, said: str) -> dict[str, Any]:
    """Return arguments of an event that teaches or draws: one at a time on the server; the others are told their place.

    Parameters
    ----------
    name : str
        As in `genre_app.ui.frame.in_queue`.
    said : str
        CSS selector of the part of the page that tells the place.
    """
    tell = f"genreApp.tellIn('{said}', `You are number ${{place}} that wait for the server.`)"
    return {**PRIVATE, "concurrency_id": "teach", "concurrency_limit": 1, **in_queue(name, tell)}


def examples_of(collection: Collection) -> tuple[list[Example], frozenset[str]]:
    """Return the clips of a collection, and the genres that mean none of these; `DataError` if there are no clips."""
    if not collection.read().clips:
        raise DataError("This collection has no clips yet; record or drop some first.")
    return folder_examples(collection.folder)


def followed(task: Callable[[Monitor], Result], shown: Callable[[Progress], Shown]) -> Generator[Shown, None, Result]:
    """Run ``task`` in a thread and yield what is ``shown`` of its progress; return its result or raise its error.

    If the generator is closed, because the visitor has pressed Stop or left, the task is asked to stop.
    """
    news: SimpleQueue[Progress | None] = SimpleQueue()
    stop = Event()
    result: Future[Result] = Future()

    def run() -> None:
        try:
            result.set_result(task(Monitor(on_progress=news.put, should_stop=stop.is_set)))
        except BaseException as error:  # noqa: BLE001 (raised again in the thread of the handler)
            result.set_exception(error)
        news.put(None)

    Thread(target=run, daemon=True).start()
    try:
        while (progress := news.get()) is not None:
            while not news.empty():  # a slow page needs only the latest
                latest = news.get()
                if latest is None:
                    news.put(None)
                    break
                progress = latest
            yield shown(progress)
    finally:
        stop.set()
    return result.result()
