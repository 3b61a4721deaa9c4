"""Data sets of the Hugging Face hub that hold audio in parquet files, such as ``hub:confit/gtzan``.

Each parquet file is downloaded, its rows are written as audio files under ``<split>/<genre>/``, and then it is deleted. If a
split has several parquet files, a mark in the name of each audio file tells which one it is from. An interrupted download is
resumed. A complete data set is used again without a request to the hub.
"""

from __future__ import annotations

import hashlib
import io
import json
import re
import shutil
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from genre_app.data.lock import locked
from genre_app.data.sources.parquet import write_rows
from genre_app.data.tracks import split_of_name
from genre_app.errors import DataError
from genre_app.files import write_whole
from genre_app.hub import PREFIX, in_a_sentence
from genre_app.progress import QUIET, Meter, Monitor

_STATE = "state.json"
_BLOCK_BYTES = 1 << 18  # a stop is possible after each block; the library's default of 10 MB is slow on a slow connection
_CONVERTED = "refs/convert/parquet"  # branch in which the hub keeps the parquet form of other data sets


@dataclass(frozen=True)
class RemoteFile:
    """A file on the hub, with its size in bytes; ``sha256`` is empty if the hub does not state it."""

    name: str
    size: int
    sha256: str = ""


@dataclass(frozen=True)
class Listing:
    """The parquet files of a data set at one revision."""

    repository: str
    revision: str
    files: tuple[RemoteFile, ...]


def repository_of(source: str) -> str | None:
    """Return ``OWNER/NAME`` for ``hub:OWNER/NAME`` or the web address of a data set, and None for anything else.

    Raises
    ------
    DataError
        If the source begins with ``hub:`` but names no data set.
    """
    found = re.fullmatch(r"(?:hub:|https?://huggingface\.co/datasets/)([\w.-]+/[\w.-]+?)/?", source.strip())
    if found:
        return found[1]
    if source.startswith(PREFIX):
        raise DataError(f"{source} names no data set of the hub; write hub:OWNER/NAME, as in hub:confit/gtzan.")
    return None


def fetch(repository: str, work: Path, *, monitor: Monitor = QUIET) -> Path:
    """Download the data set ``OWNER/NAME`` and write its audio into the work folder, unless that is done already.

    Returns
    -------
    pathlib.Path
        Folder ``<split>/<genre>/``.

    Raises
    ------
    DataError
        If the hub cannot be reached or has no such data set, or the data set has no audio with genres in parquet files.
    StoppedError
    """
    folder = work / f"hub-{repository.replace('/', '--')}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with locked(folder.with_name(f"{folder.name}.lock"), monitor):
            state = _read_state(folder)
            if not state.get("finished"):
                _fetch(repository, folder, state, monitor)
    except OSError as error:
        raise DataError(f"{PREFIX}{repository} cannot be written to {work}: {error.strerror or error}; make room.") from error
    return folder / "audio"


def _fetch(repository: str, folder: Path, state: dict[str, Any], monitor: Monitor) -> None:
    with in_a_sentence(f"{PREFIX}{repository}", "data set", DataError):
        listing = list_files(str(state.get("repository", repository)), state.get("revision"))
    total = sum(file.size for file in listing.files)
    meter = Meter("downloading MB", total >> 20, total, monitor)
    if state.get("revision") != listing.revision:
        state = {"repository": listing.repository, "revision": listing.revision, "written": []}
        write_whole(folder / _STATE, json.dumps(state).encode())
    left = [file for file in listing.files if file.name not in state["written"]]
    needed, free = sum(file.size for file in left), shutil.disk_usage(folder).free
    if needed > free:
        sizes = f"{needed >> 20} MB more, but only {free >> 20} MB"
        raise DataError(f"{PREFIX}{repository} takes {sizes} are free in {folder}; make room.")
    meter.advance_bytes(total - needed, free=True)
    n_files = Counter(_split_of_file(file.name) for file in listing.files)
    for file in left:
        with in_a_sentence(f"{PREFIX}{repository}", "data set", DataError):
            parquet = download(listing, file, folder / "download", meter)
        split = _split_of_file(file.name)
        # Names of audio may repeat in another parquet file. The mark depends on the file's name, so a resumed fetch repeats it.
        mark = hashlib.blake2b(file.name.encode(), digest_size=4).hexdigest() if n_files[split] > 1 else ""
        write_rows(parquet, folder / "audio" / split, mark, f"{PREFIX}{repository}", monitor)
        state["written"].append(file.name)
        write_whole(folder / _STATE, json.dumps(state).encode())
        parquet.unlink()
    write_whole(folder / _STATE, json.dumps(state | {"finished": True}).encode())
    shutil.rmtree(folder / "download", ignore_errors=True)


def list_files(repository: str, revision: str | None) -> Listing:
    """Ask the hub for the parquet files of a data set, at its newest revision or the given one."""
    from huggingface_hub import HfApi
    from huggingface_hub.errors import RepositoryNotFoundError, RevisionNotFoundError

    # A data set that consists of a loading script has its parquet files in the converted branch, or in "NAME-parquet".
    everywhere = [(repository, "main"), (repository, _CONVERTED), (f"{repository}-parquet", "main")]
    places = [(repository, revision)] if revision else everywhere
    for index, (candidate, at) in enumerate(places):
        try:
            info = HfApi().dataset_info(candidate, revision=at, files_metadata=True)
        except (RepositoryNotFoundError, RevisionNotFoundError):
            if index == 0:
                raise
            continue
        files = [
            RemoteFile(file.rfilename, file.size or 0, file.lfs.sha256 if file.lfs else "")
            for file in sorted(info.siblings or [], key=lambda file: file.rfilename)
            if file.rfilename.endswith(".parquet")
        ]
        if at == _CONVERTED:  # each configuration has a folder, often with the same audio
            configurations = sorted({file.name.split("/")[0] for file in files})
            chosen = "default" if "default" in configurations else next(iter(configurations), "")
            files = [file for file in files if file.name.startswith(f"{chosen}/")]
        if files:
            return Listing(candidate, info.sha or str(at), tuple(files))
    raise DataError(f"{PREFIX}{repository} has no parquet files; download its audio yourself and give the folder.")


class _Watched(io.BufferedWriter):
    """A file that reports each block appended to it, so that a download can be followed and stopped."""

    def __init__(self, path: Path, meter: Meter) -> None:
        super().__init__(io.FileIO(path, "ab"))
        self._meter = meter

    def write(self, block: Any, /) -> int:
        n_bytes = super().write(block)
        self._meter.advance_bytes(n_bytes)
        return n_bytes


def download(listing: Listing, file: RemoteFile, folder: Path, meter: Meter) -> Path:
    """Download a file, or the part of it that is still missing.

    `huggingface_hub.hf_hub_download` deletes an interrupted download. The function that it uses can resume one.
    """
    from huggingface_hub import constants, hf_hub_url
    from huggingface_hub.file_download import http_get
    from huggingface_hub.utils import build_hf_headers, disable_progress_bars  # type: ignore[attr-defined]

    folder.mkdir(parents=True, exist_ok=True)
    path = folder / file.name.replace("/", "--")
    with _Watched(path, meter) as target:
        meter.advance_bytes(target.tell(), free=True)
        if target.tell() < file.size:
            disable_progress_bars("huggingface_hub.http_get")
            constants.DOWNLOAD_CHUNK_SIZE = _BLOCK_BYTES
            url = hf_hub_url(listing.repository, file.name, repo_type="dataset", revision=listing.revision)
            headers = build_hf_headers() | {"Accept-Encoding": "identity"}  # a compressed answer cannot be resumed
            http_get(url, target, resume_size=target.tell(), headers=headers, expected_size=file.size)
    with path.open("rb") as target:
        is_whole = file.sha256 in ("", hashlib.file_digest(target, "sha256").hexdigest())
    if not is_whole or path.stat().st_size != file.size:
        path.unlink()
        raise DataError(f"{PREFIX}{listing.repository}: {file.name} arrived damaged; start again.")
    return path


def _split_of_file(name: str) -> str:
    return next((split for part in re.split(r"[/._-]", name) if (split := split_of_name(part))), "train")


def _read_state(folder: Path) -> dict[str, Any]:
    try:
        state = json.loads((folder / _STATE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return state if isinstance(state, dict) else {}
