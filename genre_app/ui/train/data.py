"""The music to train on: where it is, and a look at it before the run starts."""

from __future__ import annotations

import re
import traceback
from collections.abc import Iterator
from pathlib import Path

from genre_app.files import expanded
from genre_app.hub import PREFIX
from genre_app.progress import Progress
from genre_app.runs import check, failure
from genre_app.runs.plan import Plan
from genre_app.runs.request import Request
from genre_app.runs.run import work_folder
from genre_app.runs.zerogpu import is_zero
from genre_app.ui.permission import on_space, shown_data
from genre_app.ui.service import RequestError
from genre_app.ui.train import uploads

UPLOAD = "upload: "
"""Prefix of the name of an uploaded file in the field for the music."""

_SUFFIXES = (".zip", ".csv")

_ROOT = r"(?:[A-Za-z]:[\\/]|\\\\|/)"
_FOLDERS = re.compile(rf"""(?<=["']){_ROOT}[^"'\n]*[\\/]|(?<![^\s"'(\[=,:;<>|]){_ROOT}(?=[^\s\\/])(?:[^\s\\/:"']+[\\/]+)*""")
"""All but the last name of an absolute path, which may have spaces only between quotes; an address or ``a/b`` is none."""


def keep_upload(path: str) -> str:
    """Keep an uploaded file for the runs that will read it, and return the text for the field.

    Raises
    ------
    RequestError
        If the file is neither a zip nor a table.
    """
    file = Path(path)
    if file.suffix.lower() not in _SUFFIXES:
        raise RequestError(f"{file.name} is neither a zip of genre folders nor a CSV of features; pack the folders into a zip")
    return UPLOAD + uploads.keep(file).name


def resolve(source: str | None) -> str:
    """Return the ``--data`` argument for what a visitor wrote into the field.

    Raises
    ------
    RequestError
        If the field is empty, or the visitor of a Space names a path.
    """
    source = (source or "").strip()
    if not source:
        raise RequestError("Say where the music is: a folder of genre folders, a zip, or hub:OWNER/NAME")
    if source.startswith(UPLOAD):
        found = uploads.find(source.removeprefix(UPLOAD).strip())
        if found is None:
            raise RequestError("The uploaded file is no longer here; upload it again")
        return str(found)
    if on_space() and not source.startswith(PREFIX):
        raise RequestError("On a Space, music comes as a zip that you upload, or from the hub as hub:OWNER/NAME")
    # Paths become absolute, since the run may be resumed from another folder; a data set of the hub is no path.
    return source if source.startswith(PREFIX) or "://" in source else str(expanded(source).absolute())


def look(request: Request) -> Iterator[Progress | Plan]:
    """Open the data of a request as its run would; yield the progress, then the plan of the run.

    Closing the iterator stops the work and keeps what is prepared.

    Raises
    ------
    RunError
        If the data or the settings cannot be used.
    """
    # A Space lends its GPU by the turn, so a measurement on its CPU would not tell how long training takes.
    return check.check(request, measure=not is_zero())


def sentence(error: Exception) -> str:
    """Describe in one sentence why data or settings cannot be used; an error of the program goes to the log too."""
    if not isinstance(error, failure.EXPECTED):
        traceback.print_exception(error)
    text = failure.sentence(error)
    if "--columns data" in text:
        text += " On this page: All settings, Starting weights, spectrogram, CPU threads."
    return shortened(text)


def shortened(text: str) -> str:
    """Return a text without the server's own folders: ``music.zip`` for the kept copy of an upload.

    On a public page, only the last name of each absolute path is left.
    """
    text = re.sub(rf"{re.escape(str(work_folder()))}/(uploads/{uploads.DIGEST}-|zip-[0-9a-f]+/)?", "", text)
    if shown_data() is None:
        return text
    home = expanded("~")
    if home.name:  # its name may have a space, which ends a path that is not quoted
        text = text.replace(str(home), f"{home.anchor}~")
    return _FOLDERS.sub("", text)
