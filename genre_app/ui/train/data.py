"""Where the music to train on comes from, and a look at it before training."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from genre_app.data.sources.hub import PREFIX
from genre_app.files import expanded
from genre_app.progress import Monitor, Progress, StoppedError
from genre_app.runs.request import Request
from genre_app.runs.run import work_folder
from genre_app.runs.zerogpu import is_zero
from genre_app.ui.permission import on_space
from genre_app.ui.service import RequestError
from genre_app.ui.train import uploads as train_uploads
from genre_app.ui.train.fields import explain

if TYPE_CHECKING:
    from genre_app.runs.plan import Plan

UPLOAD = "upload: "
"""What stands before the name of an uploaded file, where otherwise a path or the name of a data set stands."""

_SUFFIXES = (".zip", ".csv")
_TELL_SECONDS = 0.3

PROBLEMS = (ValueError, OSError, RuntimeError)
"""What data and settings can bring about; `sentence` puts it into words."""


def keep_upload(path: str) -> str:
    """Keep an uploaded file for the runs that will need it, and return what stands for it in the form.

    Raises
    ------
    RequestError
        If it is neither a zip nor a table.
    """
    file = Path(path)
    if file.suffix.lower() not in _SUFFIXES:
        raise RequestError(f"{file.name} is neither a zip of genre folders nor a CSV of features; pack the folders into a zip")
    return UPLOAD + train_uploads.keep(file).name


def resolve(source: str | None) -> str:
    """Return what the training command takes for a source that a visitor has written.

    Raises
    ------
    RequestError
        If there is none, or it is a path and the visitor is not at this machine.
    """
    source = (source or "").strip()
    if not source:
        raise RequestError("Say where the music is: a folder of genre folders, a zip, or hub:OWNER/NAME")
    if source.startswith(UPLOAD):
        found = train_uploads.find(source.removeprefix(UPLOAD).strip())
        if found is None:
            raise RequestError("The uploaded file is no longer here; upload it again")
        return str(found)
    if on_space() and not source.startswith(PREFIX):
        raise RequestError("On a Space, music comes as a zip that you upload, or from the hub as hub:OWNER/NAME")
    # In full, since the run may be resumed from another folder; what names a data set of the hub is no path.
    return source if source.startswith(PREFIX) or "://" in source else str(expanded(source).absolute())


def look(request: Request) -> Iterator[Progress | Plan]:
    """Open the data of a request as its run would, and yield how far that is, then what the run will do.

    Closing the iterator ends the work soon; what is prepared by then is kept.

    Raises
    ------
    DataError, ValueError, OSError
        If the data or the settings cannot be used.
    """
    told: list[Progress] = []
    stop = threading.Event()

    def work() -> Plan:
        # Here, since these bring scipy's statistics along, for which the page's first visitor need not wait.
        from genre_app.runs.data import open_data
        from genre_app.runs.plan import plan

        data, config = open_data(request, request.config(), monitor=Monitor(told.append, stop.is_set))
        told.append(Progress("trying out a few steps", 0, 0, None))
        # A Space lends its GPU by the turn, and the time on its CPU tells nothing.
        return plan(request, config, data, measure=not is_zero(), monitor=Monitor(should_stop=stop.is_set))

    pool = ThreadPoolExecutor(1)
    future = pool.submit(work)
    try:
        yield Progress("looking at the data", 0, 0, None)
        while not future.done():
            with suppress(TimeoutError):
                future.exception(timeout=_TELL_SECONDS)
            if told:
                yield told[-1]
                told.clear()
        with suppress(StoppedError):
            yield future.result()
    finally:
        stop.set()
        pool.shutdown(wait=False)  # whoever closes this may be the thread that serves everybody


def sentence(error: Exception) -> str:
    """Say in a sentence why data or settings cannot be used, without telling a stranger where files lie."""
    from genre_app.runs import failure

    text = explain(error) if isinstance(error, ValueError) else failure.sentence(error)
    if "--columns data" in text:
        text += " On this page that is under All other settings, Columns."
    return text.replace(f"{work_folder()}/", "") if on_space() else text
