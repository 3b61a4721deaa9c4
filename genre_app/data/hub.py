"""Data sets of the Hugging Face hub that hold audio in parquet files, such as ``hub:confit/gtzan``.

Each parquet file is downloaded, its rows are written as audio files under ``<split>/<genre>/``, and it is deleted. Downloads
and rows go on where they stopped; what is complete is used again without asking the hub.
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from genre_app.data.mel_cache import DataError, first_line
from genre_app.data.parquet import write_rows
from genre_app.data.prepare import locked
from genre_app.data.progress import Meter, Progress
from genre_app.data.splits import split_of_name

PREFIX = "hub:"
_STATE = "state.json"
_CONVERTED = "refs/convert/parquet"  # where the hub itself puts the parquet form of other data sets


@dataclass(frozen=True)
class _Listing:
    """The parquet files of a data set at one revision: (name, bytes) each."""

    repository: str
    revision: str
    files: tuple[tuple[str, int], ...]


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
    on_progress: Callable[[Progress], None] | None = None,
    should_stop: Callable[[], bool] | None = None,
) -> Path:
    """Download a data set and write its audio into the work folder, or find that done.

    Parameters
    ----------
    repository : str
        ``OWNER/NAME``.
    work : pathlib.Path
    on_progress, should_stop : callable, optional

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
    waiting = Meter("waiting for another download", 0, 0, on_progress, should_stop)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with locked(folder.with_suffix(".lock"), waiting):
            state = _read_state(folder)
            if not state.get("finished"):
                _fetch(repository, folder, state, on_progress, should_stop)
    except OSError as error:
        raise DataError(f"{PREFIX}{repository} cannot be written to {work}: {error.strerror or error}; make room.") from error
    return folder / "audio"


def _fetch(
    repository: str,
    folder: Path,
    state: dict[str, Any],
    on_progress: Callable[[Progress], None] | None,
    should_stop: Callable[[], bool] | None,
) -> None:
    with _spoken(repository):
        listing = list_files(str(state.get("repository", repository)), state.get("revision"))
    total = sum(size for _, size in listing.files)
    meter = Meter("downloading MB", total >> 20, total, on_progress, should_stop)
    if state.get("revision") != listing.revision:
        state = {"repository": listing.repository, "revision": listing.revision, "written": []}
        _write_state(folder, state)
    left = sum(size for name, size in listing.files if name not in state["written"])
    free = shutil.disk_usage(folder).free
    if left > free:
        raise DataError(
            f"{PREFIX}{repository} takes {left >> 20} MB, but only {free >> 20} MB are free in {folder}; make room."
        )
    counted = 0
    for name, size in listing.files:
        begun = counted

        def count(n_bytes: int) -> None:
            nonlocal counted
            before, counted = counted, counted + n_bytes
            meter.advance((counted >> 20) - (before >> 20), n_bytes)

        if name not in state["written"]:
            with _spoken(repository):
                parquet = download(listing.repository, listing.revision, name, folder / "download", count)
            write_rows(parquet, folder / "audio" / _split_of_file(name), f"{PREFIX}{repository}", on_progress, should_stop)
            state["written"].append(name)
            _write_state(folder, state)
            parquet.unlink()
        if begun + size > counted:  # what an earlier call had downloaded
            before, counted = counted, begun + size
            meter.advance((counted >> 20) - (before >> 20), counted - before, free=True)
    _write_state(folder, state | {"finished": True})
    shutil.rmtree(folder / "download", ignore_errors=True)


def list_files(repository: str, revision: str | None) -> _Listing:
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
        files = sorted((file.rfilename, file.size or 0) for file in siblings if file.rfilename.endswith(".parquet"))
        if at == _CONVERTED:  # one folder for each configuration, often with the same audio
            configurations = sorted({name.split("/")[0] for name, _ in files})
            chosen = "default" if "default" in configurations else next(iter(configurations), "")
            files = [(name, size) for name, size in files if name.startswith(f"{chosen}/")]
        if files:
            return _Listing(candidate, info.sha or str(at), tuple(files))
    raise DataError(f"{PREFIX}{repository} has no parquet files; download its audio yourself and give the folder.")


def download(repository: str, revision: str, name: str, folder: Path, count: Callable[[int], None]) -> Path:
    """Download a file, or the rest of it, and tell ``count`` how many bytes have come."""
    from huggingface_hub import constants, hf_hub_download
    from tqdm import tqdm  # type: ignore[import-untyped]

    class Counted(tqdm):
        """A bar that is not shown."""

        def __init__(self, *args: Any, **settings: Any) -> None:
            settings.pop("name", None)
            super().__init__(*args, **settings | {"disable": True})
            count(int(settings.get("initial") or 0))

        def update(self, n: float | None = 1) -> None:
            count(int(n or 0))

    # The hub's own protocol (Xet) begins a file anew after an interruption; plain HTTP goes on where it stopped.
    before, constants.HF_HUB_DISABLE_XET = constants.HF_HUB_DISABLE_XET, True
    try:
        path = hf_hub_download(repository, name, repo_type="dataset", revision=revision, local_dir=folder, tqdm_class=Counted)
    finally:
        constants.HF_HUB_DISABLE_XET = before
    return Path(path)


@contextmanager
def _spoken(repository: str) -> Iterator[None]:
    """Turn what can go wrong with the hub into one sentence."""
    from huggingface_hub import errors

    shown = f"{PREFIX}{repository}"
    transport: type[Exception] = errors.HTTPError  # type: ignore[attr-defined] # of httpx, by whichever name it has there
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
    except (transport, errors.OfflineModeIsEnabled, errors.LocalEntryNotFoundError, OSError) as error:
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
