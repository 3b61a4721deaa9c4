"""Run a long task in a thread, and yield its progress to a handler that shows it."""

from __future__ import annotations

from collections.abc import Callable, Generator
from queue import SimpleQueue
from threading import Event, Thread
from typing import TypeVar

from genre_app.progress import Monitor, Progress

Result = TypeVar("Result")


def followed(task: Callable[[Monitor], Result]) -> Generator[Progress, None, Result]:
    """Run ``task`` in a thread and yield its progress; return its result or raise its error.

    If the generator is closed, because the visitor has pressed Stop or left, the task is asked to stop.
    """
    news: SimpleQueue[Progress | None] = SimpleQueue()
    stop = Event()
    results: list[Result] = []
    errors: list[BaseException] = []

    def run() -> None:
        try:
            results.append(task(Monitor(on_progress=news.put, should_stop=stop.is_set)))
        except BaseException as error:  # noqa: BLE001 (raised again in the thread of the handler)
            errors.append(error)
        finally:
            news.put(None)

    thread = Thread(target=run, daemon=True)
    thread.start()
    try:
        while (progress := news.get()) is not None:
            while not news.empty():  # a slow page needs only the latest
                latest = news.get()
                if latest is None:
                    news.put(None)
                    break
                progress = latest
            yield progress
    finally:
        stop.set()
    thread.join()
    if errors:
        raise errors[0]
    return results[0]
