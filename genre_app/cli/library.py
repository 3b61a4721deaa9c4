"""genre-app library: classify a folder of music once, and keep a catalogue of it."""

from __future__ import annotations

import json
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from genre_app.cli._shared import CheckpointOption, ReportFormat, monitored, on_signals, open_checkpoint, printable, stop

if TYPE_CHECKING:
    from genre_app.checkpoint import Checkpoint
    from genre_app.library.catalogue import Catalogue
    from genre_app.library.classify import Engine
    from genre_app.library.records import Track
    from genre_app.library.report import Summary
    from genre_app.library.tags import Change


def library(
    folder: Annotated[Path, typer.Argument(help="Folder with music, in any folders below it.")],
    checkpoint: CheckpointOption = None,
    processes: Annotated[int | None, typer.Option(min=1, max=256, help="Worker processes; by default one per core.")] = None,
    engine: Annotated[
        Literal["local", "ray"], typer.Option(help="ray: on a Ray cluster, that of RAY_ADDRESS; by default on this machine.")
    ] = "local",
    catalogue: Annotated[
        Path | None, typer.Option(metavar="FILE", help="The catalogue; by default .genre-app/library.sqlite in the folder.")
    ] = None,
    retry: Annotated[bool, typer.Option("--retry", help="Try files again that could not be classified.")] = False,
    report: Annotated[Path | None, typer.Option(metavar="HTML", help="Write genres, unsure tracks, copies and errors.")] = None,
    m3u: Annotated[Path | None, typer.Option(metavar="FOLDER", help="Write a playlist of each genre's sure tracks.")] = None,
    csv: Annotated[Path | None, typer.Option(metavar="CSV", help="Write the catalogue, a line a file.")] = None,
    tags: Annotated[bool, typer.Option("--tags", help="Show how genre tags would change; write nothing.")] = False,
    write_tags: Annotated[bool, typer.Option("--write-tags", help="Write sure genres into the tags.")] = False,
    undo: Annotated[bool, typer.Option("--undo", help="Restore the tags from before --write-tags; classify nothing.")] = False,
    format_: ReportFormat = "table",
) -> None:
    """Classify new and changed files of a folder in several processes, and keep a catalogue of all of them.

    A killed or stopped command continues where it was. Moved and copied files are not classified again. A file that could not
    be classified is tried again when it changes. The exit code is 1 if a file failed in this call.
    """
    from genre_app.errors import CheckpointError, DataError
    from genre_app.library.catalogue import PLACE, open_catalogue
    from genre_app.library.ray_engine import check_ray, on_ray
    from genre_app.library.report import summarise
    from genre_app.library.tags import check_mutagen
    from genre_app.progress import StoppedError

    if undo and (tags or write_tags):
        stop("--undo restores tags; give it without --tags and --write-tags")
    if not folder.is_dir():
        stop(f"{folder} is not a folder; name a folder with music")
    stopping = threading.Event()
    on_signals(stopping.set)
    changes: list[Change] = []
    try:
        if tags or write_tags or undo:
            check_mutagen()
        chosen = on_ray if engine == "ray" else None
        if chosen is not None:
            check_ray()
        model = None if undo else open_checkpoint(checkpoint)
        with open_catalogue(catalogue or folder / PLACE, folder) as opened:
            done, said = _update(folder, opened, model, checkpoint, chosen, processes, retry, stopping)
            if tags or write_tags or undo:
                changes, refused = _tags(folder, opened, stopping, write=write_tags, undo=undo)
                done["failed"] += len(refused) if write_tags or undo else 0
                said += refused
            tracks = opened.tracks()
            said += _write(tracks, folder, opened.checkpoint_name, report, m3u, csv)
    except (DataError, CheckpointError) as error:
        stop(str(error))
    except OSError as error:
        stop(f"{error.filename or folder} cannot be used: {error.strerror or error}")
    except StoppedError:
        stop("stopped; what is done is kept, and the same command continues", exit_code=1)
    _show(summarise(tracks), done, said, changes, format_)
    if done["failed"]:
        raise typer.Exit(1)


def _update(
    folder: Path,
    opened: Catalogue,
    model: Checkpoint | None,
    names: list[str] | None,
    engine: Engine | None,
    processes: int | None,
    retry: bool,
    stopping: threading.Event,
) -> tuple[dict[str, int], list[str]]:
    """Scan the folder, and classify what is new unless ``model`` is None; return numbers, and what is said of some files."""
    from genre_app.checkpoint import DEFAULT_CHECKPOINT
    from genre_app.library.classify import Classified, classify_new
    from genre_app.library.scan import scan

    with monitored(stopping.is_set) as monitor:
        scanned = scan(folder, opened, monitor, retry=retry)
    found, names = Classified(), names or [DEFAULT_CHECKPOINT]
    if model is not None:
        with monitored(stopping.is_set) as monitor:  # a bar of its own, since this is slower
            found = classify_new(folder, opened, model, names, engine=engine, processes=processes, retry=retry, monitor=monitor)
    said = list(scanned.unreadable)
    if found.n_changed:
        said.append(f"{found.n_changed} files changed while they were classified; call the command again")
    done = {"read": scanned.n_read, "removed": scanned.n_removed, "classified": found.n_done, "failed": found.n_failed}
    return done, said


def _show(summary: Summary, done: dict[str, int], said: list[str], changes: list[Change], format_: str) -> None:
    for sentence in said:
        print(printable(sentence.replace("\n", "?")), file=sys.stderr)
    if format_ == "json":
        written = [{"file": change.track.shown, "old": change.old, "new": change.values} for change in changes]
        print(json.dumps({**summary.to_dict(), **done, "tags": written}, allow_nan=False))
        return
    print(printable(f"{summary.to_table()}\nin this call: {', '.join(f'{n} {what}' for what, n in done.items())}"))
    for change in changes:
        print(printable(str(change).replace("\n", "?")))


def _tags(
    folder: Path, opened: Catalogue, stopping: threading.Event, *, write: bool, undo: bool
) -> tuple[list[Change], list[str]]:
    """Return the changes of tags that are shown or were made, and what is said of files that cannot be changed."""
    from genre_app.library.tags import Change, carry_out, proposal, restoration
    from genre_app.progress import Meter

    tracks, changes, refused = opened.tracks(), list[Change](), list[str]()
    with monitored(stopping.is_set) as monitor:
        meter = Meter("comparing tags", len(tracks), sum(track.stamp[0] for track in tracks), monitor)
        for track in tracks:
            found = restoration(folder, opened, track) if undo else proposal(folder, track)
            if isinstance(found, Change) and (write or undo):
                found = carry_out(folder, opened, found) or found
            if isinstance(found, Change):
                changes.append(found)
            elif found is not None:
                refused.append(str(found))
            meter.advance(1, track.stamp[0])
    return changes, refused


def _write(
    tracks: list[Track], folder: Path, checkpoint: str, report: Path | None, m3u: Path | None, csv: Path | None
) -> list[str]:
    """Write what is asked for; return a sentence about each track that a playlist cannot hold."""
    from genre_app.files import write_whole
    from genre_app.library.playlists import write_playlists, write_table
    from genre_app.library.report import report_html

    if report is not None:
        write_whole(report, report_html(tracks, folder.resolve().name, checkpoint).encode("utf-8", "replace"))
    if csv is not None:
        write_table(tracks, csv)
    left_out = write_playlists(tracks, folder, m3u) if m3u is not None else []
    return [f"{name}: a playlist cannot hold a name with line breaks; rename the file" for name in left_out]
