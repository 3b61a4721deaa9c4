"""Data sets of the Hugging Face hub that hold audio in parquet files, such as ``hub:confit/gtzan``.

Each parquet file is downloaded, its rows are written as audio files under ``<split>/<genre>/``, and it is deleted. Where a
split has several, the names of the audio files say which one they are from. Downloads and rows go on where they stopped; what
is complete is used again without asking the hub.
"""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from genre_app.data.cache.prepare import locked
from genre_app.data.sources.parquet import write_rows
from genre_app.data.splits import split_of_name
from genre_app.errors import DataError, first_line
from genre_app.progress import QUIET, Meter, Monitor

PREFIX = "hub:"
_STATE = "state.json"
_RETRIES = 4
_TIMEOUT_SECONDS = 20.0
_BLOCK_BYTES = 1 << 18
_CONVERTED = "refs/convert/parquet"  # where the hub itself puts the parquet form of other data sets


@dataclass(frozen=True)
class RemoteFile:
    """A file on the hub; ``sha256`` is empty where the hub does not tell it."""

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
    """Return ``OWNER/NAME`` for ``hub:OWNER/NAME`` or the data set's address, and None for anything else."""
    found = re.fullmatch(r"(?:hub:|https?://huggingface\.co/datasets/)([\w.-]+/[\w.-]+?)/?", source.strip())
    if found:
        return found[1]
    if source.startswith(PREFIX):
        raise DataError(f"{source} names no data set of the hub; write hub:OWNER/NAME, as in hub:confit/gtzan.")
    return None


def fetch(
    repository: str,
    work: Path,
    *,
    monitor: Monitor = QUIET,
) -> Path:
    """Download a data set and write its audio into the work folder, or find that done.

    Parameters
    ----------
    repository : str
        ``OWNER/NAME``.
    work : pathlib.Path
    monitor : Monitor

    Returns
    -------
    pathlib.Path
        A folder of splits with folders of genres.

    Raises
    ------
    DataError
        If the hub cannot be reached, has no such data set, or that holds no audio with genres in parquet files.
    StoppedError
    """
    folder = work / f"hub-{repository.replace('/', '--')}"
    waiting = Meter("waiting for another download", 0, 0, monitor)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with locked(folder.with_name(f"{folder.name}.lock"), waiting):
            state = _read_state(folder)
            if not state.get("finished"):
                _fetch(repository, folder, state, monitor)
    except OSError as error:
        raise DataError(f"{PREFIX}{repository} cannot be written to {work}: {error.strerror or error}; make room.") from error
    return folder / "audio"


def _fetch(
    repository: str,
    folder: Path,
    state: dict[str, Any],
    monitor: Monitor,
) -> None:
    with _spoken(repository):
        listing = list_files(str(state.get("repository", repository)), state.get("revision"))
    total = sum(file.size for file in listing.files)
    meter = Meter("downloading MB", total >> 20, total, monitor)
    if state.get("revision") != listing.revision:
        state = {"repository": listing.repository, "revision": listing.revision, "written": []}
        _write_state(folder, state)
    left = [file for file in listing.files if file.name not in state["written"]]
    free = shutil.disk_usage(folder).free
    if sum(file.size for file in left) > free:
        needed = sum(file.size for file in left) >> 20
        raise DataError(
            f"{PREFIX}{repository} takes {needed} MB more, but only {free >> 20} MB are free in {folder}; make room."
        )
    come = 0

    def count(n_bytes: int, free: bool) -> None:
        nonlocal come
        before, come = come, come + n_bytes
        meter.advance((come >> 20) - (before >> 20), n_bytes, free=free)

    n_files = Counter(_split_of_file(file.name) for file in listing.files)
    for file in listing.files:
        if file not in left:
            count(file.size, True)
            continue
        with _spoken(repository):
            parquet = download(listing, file, folder / "download", count)
        split = _split_of_file(file.name)
        # Names are unique within a file at best; the file's own name is the same whenever this is taken up again.
        mark = hashlib.blake2b(file.name.encode(), digest_size=4).hexdigest() if n_files[split] > 1 else ""
        write_rows(parquet, folder / "audio" / split, mark, f"{PREFIX}{repository}", monitor)
        state["written"].append(file.name)
        _write_state(folder, state)
        parquet.unlink()
    _write_state(folder, state | {"finished": True})
    shutil.rmtree(folder / "download", ignore_errors=True)


def list_files(repository: str, revision: str | None) -> Listing:
    """Ask the hub for the parquet files of a data set, as it is now or was at a revision."""
    from huggingface_hub import HfApi
    from huggingface_hub.errors import RepositoryNotFoundError, RevisionNotFoundError

    # A data set whose own files are a loading script has its audio in the hub's converted branch, or in a sibling of its name.
    places = [(repository, revision)] if revision else [(repository, "main"), (repository, _CONVERTED)]
    places += [] if revision else [(f"{repository}-parquet", "main")]
    for index, (candidate, at) in enumerate(places):
        try:
            info = HfApi().dataset_info(candidate, revision=at, files_metadata=True)
        except (RepositoryNotFoundError, RevisionNotFoundError):
            if index == 0:
                raise
            continue
        siblings = info.siblings or []
        files = [
            RemoteFile(file.rfilename, file.size or 0, file.lfs.sha256 if file.lfs else "")
            for file in sorted(siblings, key=lambda file: file.rfilename)
            if file.rfilename.endswith(".parquet")
        ]
        if at == _CONVERTED:  # one folder for each configuration, often with the same audio
            configurations = sorted({file.name.split("/")[0] for file in files})
            chosen = "default" if "default" in configurations else next(iter(configurations), "")
            files = [file for file in files if file.name.startswith(f"{chosen}/")]
        if files:
            return Listing(candidate, info.sha or str(at), tuple(files))
    raise DataError(f"{PREFIX}{repository} has no parquet files; download its audio yourself and give the folder.")


def download(listing: Listing, file: RemoteFile, folder: Path, count: Callable[[int, bool], None]) -> Path:
    """Download a file, or the rest of it, and tell ``count`` how many bytes have come, and whether that was before this call.

    The client's own download begins anew after an interruption, so this asks for the bytes that are missing.
    """
    from huggingface_hub import hf_hub_url

    url = hf_hub_url(listing.repository, file.name, repo_type="dataset", revision=listing.revision)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / file.name.replace("/", "--")
    part = path.with_name(f"{path.name}.part")
    if not path.exists():
        with part.open("ab") as target:
            count(target.tell(), True)
            failures = 0
            while target.tell() < file.size:
                before = target.tell()
                try:
                    _append(url, target, count)
                except _transport_error():
                    failures = 0 if target.tell() > before else failures + 1
                    if failures > _RETRIES:
                        raise
                    time.sleep(failures)
        with part.open("rb") as target:
            whole = hashlib.file_digest(target, "sha256").hexdigest() == file.sha256 if file.sha256 else True
        if not whole or part.stat().st_size != file.size:
            part.unlink()
            raise DataError(f"{PREFIX}{listing.repository}: {file.name} came damaged; start again.")
        part.replace(path)
    else:
        count(file.size, True)
    return path


def _append(url: str, target: BinaryIO, count: Callable[[int, bool], None]) -> None:
    from huggingface_hub.utils import build_hf_headers, get_session, hf_raise_for_status  # type: ignore[attr-defined]

    start = target.tell()
    headers = build_hf_headers() | {"Range": f"bytes={start}-", "Accept-Encoding": "identity"}
    with get_session().stream("GET", url, headers=headers, follow_redirects=True, timeout=_TIMEOUT_SECONDS) as response:
        hf_raise_for_status(response)
        if start and response.status_code != 206:  # a server that sends all of it again
            target.truncate(0)
            target.seek(0)
            count(-start, True)
        for block in response.iter_bytes(_BLOCK_BYTES):
            target.write(block)
            count(len(block), False)


def _transport_error() -> type[Exception]:
    from huggingface_hub import errors

    kind: type[Exception] = errors.HTTPError  # type: ignore[attr-defined] # of httpx, by whichever name it has there
    return kind


@contextmanager
def _spoken(repository: str) -> Iterator[None]:
    """Turn what can go wrong with the hub into one sentence."""
    from huggingface_hub import errors

    shown = f"{PREFIX}{repository}"
    try:
        yield
    except errors.GatedRepoError as error:
        raise DataError(
            f"{shown} asks for its terms to be accepted; do that on its page and log in with: hf auth login."
        ) from error
    except (errors.RepositoryNotFoundError, errors.HFValidationError) as error:
        raise DataError(
            f"{shown}: the hub has no such public data set; check the name, or log in with: hf auth login."
        ) from error
    except (_transport_error(), errors.OfflineModeIsEnabled, errors.LocalEntryNotFoundError, OSError) as error:
        raise DataError(
            f"{shown} cannot be reached ({first_line(error)}); check the connection and start again, what has come is kept."
        ) from error


def _split_of_file(name: str) -> str:
    return next((split for part in re.split(r"[/._-]", name) if (split := split_of_name(part))), "train")


def _read_state(folder: Path) -> dict[str, Any]:
    try:
        state = json.loads((folder / _STATE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return state if isinstance(state, dict) else {}


def _write_state(folder: Path, state: dict[str, Any]) -> None:
    part = folder / f"{_STATE}.part"
    part.write_text(json.dumps(state), encoding="utf-8")
    part.replace(folder / _STATE)
