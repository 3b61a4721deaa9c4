"""What gradio keeps of each visit, reduced to what this page needs.

A visit is a session of gradio: a page in a browser, or one call of the API. gradio keeps the latest sessions, open or over.
"""

from __future__ import annotations

import os
import re
import shutil
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from threading import Thread
from types import MappingProxyType
from typing import Any

import gradio as gr
from gradio.blocks import BlocksConfig
from gradio.utils import get_upload_folder

from genre_app.files import temporary_folder

MAX_VISITS = 500
"""Visits whose state is kept, the latest used. The answer to a clip of 30 s takes 0.7 MB (measured)."""

_NOTHING: Mapping[str, Any] = MappingProxyType({})
_SWEEP_SECONDS = 600.0
_FOLDER = re.compile("[0-9a-f]{64}")  # gradio names the folder of a file by the digest of its content


def count_events_rarely() -> None:
    """Turn off gradio's statistics of events, unless the environment sets them; call it before the page is built.

    After each event, gradio makes a table of the last 10 000 events for a page that this app does not offer.
    """
    os.environ.setdefault("GRADIO_ANALYTICS_MAX_EVENTS", "1")
    os.environ.setdefault("GRADIO_ANALYTICS_CACHE_FREQUENCY", "1000000000")


def lighten(app: gr.Blocks) -> None:
    """Let each visit share the description of the page's components; call it when the page is built.

    gradio describes all components again for each session, so that a visitor can share a link to the state of the page. This
    page has no such links, and with 705 components that took 0.1 s and 1.2 MB a visit (measured).
    """
    shared = _Page(app)
    vars(shared).update(vars(app.default_config))
    app.default_config = shared


class _Page(BlocksConfig):
    """The page's components and events; gradio copies them for each visit."""

    def __copy__(self) -> BlocksConfig:
        copied = _Visit(self.root_block)
        vars(copied).update(vars(super().__copy__()))
        return copied


class _Visit(BlocksConfig):
    """A visit's components and events, described only if a handler renders them anew."""

    @staticmethod
    def config_for_block(_id: int, rendered_ids: list[int], block: Any, renderable: Any = None) -> Any:
        """Return nothing, as gradio does for a component that is not rendered."""
        return BlocksConfig.config_for_block(_id, rendered_ids, block, renderable) if renderable else _NOTHING


def let_sweeps_overlap(app: gr.Blocks) -> None:
    """Let gradio delete old files while others arrive; call it when the page is built.

    gradio goes through its sets of paths in a thread of its own. If a set grew meanwhile, Python raised an error, and gradio
    deleted no more files until the server ended.
    """
    app.upload_file_set = _Paths(app.upload_file_set)
    components = [block for block in app.blocks.values() if isinstance(block, gr.components.Component)]
    for component in components:
        component.temp_files = _Paths(component.temp_files)
    app.temp_file_sets = [app.upload_file_set, *(component.temp_files for component in components)]


class _Paths(set[str]):
    """Paths of files; it may change while somebody goes through it."""

    def __iter__(self) -> Iterator[str]:
        return iter(frozenset(self))  # no other thread runs while Python copies a set of texts


def keep_uploads_apart(age_seconds: float) -> None:
    """Let gradio keep uploads in a folder of this app and user, and delete what a killed server has left there.

    Nothing happens if ``GRADIO_TEMP_DIR`` names a folder: it may belong to other apps too.

    Parameters
    ----------
    age_seconds : float
        An upload that was changed later than this is left: it may be one of a server that runs.
    """
    if os.environ.get("GRADIO_TEMP_DIR"):
        return
    uploads = temporary_folder("uploads")
    os.environ["GRADIO_TEMP_DIR"] = str(uploads)
    latest = time.time() - age_seconds
    for folder in uploads.iterdir():
        with suppress(OSError):
            if _FOLDER.fullmatch(folder.name) and max(path.stat().st_mtime for path in (folder, *folder.iterdir())) < latest:
                shutil.rmtree(folder)


def forget_deleted(app: gr.Blocks, age_seconds: float = 0.0) -> None:
    """Forget files that are deleted, and delete the folders that held them.

    gradio puts each file into a folder of its own. It deletes old files and leaves their folders; the paths of files that
    others delete, as Live does with each second of sound, it keeps for ever.

    Parameters
    ----------
    app : gr.Blocks
    age_seconds : float
        A folder that was changed later than this is left: a file may be on its way into it.
    """
    for paths in app.temp_file_sets:
        paths.difference_update([path for path in paths.copy() if not os.path.lexists(path)])
    latest = time.time() - age_seconds
    with suppress(OSError), os.scandir(get_upload_folder()) as entries:
        for entry in entries:
            with suppress(OSError):  # it is gone already, or holds a file
                if _FOLDER.fullmatch(entry.name) and entry.stat(follow_symlinks=False).st_mtime < latest:
                    Path(entry).rmdir()


def start_forgetting(app: gr.Blocks) -> None:
    """Call `forget_deleted` now and then, in the background."""

    def forget() -> None:
        while True:
            time.sleep(_SWEEP_SECONDS)
            forget_deleted(app, _SWEEP_SECONDS)

    Thread(target=forget, name="sweep of uploads", daemon=True).start()
