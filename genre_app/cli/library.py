"""genre-app library: classify a folder of music once, and keep a catalogue of it."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from genre_app.cli._shared import CheckpointOption, ReportFormat, monitored, open_checkpoint, printable, stop

if TYPE_CHECKING:
    from genre_app.checkpoint import Checkpoint
    from genre_app.library.catalogue import Catalogue
    from genre_app.library.tags import Change


def library(
    folder: Annotated[Path, typer.Argument(help="Folder with music, in any folders below it.")],
    checkpoint: CheckpointOption = None,
    processes: Annotated[int | None, typer.Option(min=1, max=256, help="Worker processes; by default one per core.")] = None,
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
    from genre_app.library.scan import scan
    from genre_app.library.tags import check_mutagen

    if undo and (tags or write_tags):
        stop("--undo restores tags; give it without --tags and --write-tags")
    try:
        if tags or write_tags or undo:
            check_mutagen()
        if not folder.is_dir():
            stop(f"{folder} is not a folder; name a folder with music")
        model = None if undo else open_checkpoint(checkpoint, 1)
        with open_catalogue(catalogue or folder / PLACE, folder) as opened:
            with monitored() as monitor:
                scanned = scan(folder, opened, monitor)
            done = {"read": scanned.n_read, "removed": scanned.n_removed, "classified": 0, "failed": 0}
            for sentence in scanned.unreadable:
                _warn(sentence)
            if model is not None:
                done |= _classify(folder, opened, model, checkpoint, processes, retry)
            changes, n_refused = _tags(folder, opened, tags=tags, write=write_tags, undo=undo)
            _write(opened, folder, report, m3u, csv)
            _show(opened, done, changes, format_)
    except (DataError, CheckpointError) as error:
        stop(str(error))
    except OSError as error:
        stop(f"{error.filename or folder} cannot be used: {error.strerror or error}")
    except KeyboardInterrupt:
        stop("stopped; what is done is kept, and the same command continues", exit_code=1)
    if done["failed"] or n_refused:
        raise typer.Exit(1)


def _classify(
    folder: Path, opened: Catalogue, model: Checkpoint, names: list[str] | None, processes: int | None, retry: bool
) -> dict[str, int]:
    from genre_app.checkpoint import DEFAULT_CHECKPOINT
    from genre_app.library.classify import classify_new

    with monitored() as monitor:
        found = classify_new(
            folder, opened, model, names or [DEFAULT_CHECKPOINT], processes=processes, retry=retry, monitor=monitor
        )
    if found.n_changed:
        _warn(f"{found.n_changed} files changed while they were classified; call the command again")
    return {"classified": found.n_done, "failed": found.n_failed}


def _tags(folder: Path, opened: Catalogue, *, tags: bool, write: bool, undo: bool) -> tuple[list[Change], int]:
    """Return the changes of tags that are shown or were made, and the number of files that could not be changed."""
    from genre_app.library.tags import Refusal, carry_out, proposed, restoring

    if not (tags or write or undo):
        return [], 0
    tracks, changes, n_refused = opened.tracks(), [], 0
    for found in restoring(folder, opened, tracks) if undo else proposed(folder, tracks):
        refusal = found if isinstance(found, Refusal) else carry_out(folder, opened, found) if write or undo else None
        if refusal is not None:
            _warn(str(refusal))
            n_refused += write or undo
        elif not isinstance(found, Refusal):
            changes.append(found)
    return changes, n_refused


def _write(opened: Catalogue, folder: Path, report: Path | None, m3u: Path | None, csv: Path | None) -> None:
    from genre_app.files import write_whole
    from genre_app.library.playlists import write_playlists, write_table
    from genre_app.library.report import report_html

    tracks = opened.tracks()
    if report is not None:
        write_whole(report, report_html(tracks, folder.resolve().name, opened.checkpoint_name).encode("utf-8", "replace"))
    if csv is not None:
        write_table(tracks, csv)
    for name in write_playlists(tracks, folder, m3u) if m3u is not None else ():
        _warn(f"{name}: a playlist cannot hold a name with line breaks; rename the file")


def _show(opened: Catalogue, done: dict[str, int], changes: list[Change], format_: str) -> None:
    from genre_app.library.report import summarise

    summary = summarise(opened.tracks())
    if format_ == "json":
        print(json.dumps({**summary.to_dict(), **done, "tags": [change.to_dict() for change in changes]}, allow_nan=False))
        return
    print(printable(summary.to_table()))
    print(f"in this call: {', '.join(f'{n} {what}' for what, n in done.items())}")
    for change in changes:
        print(printable(str(change).replace("\n", "?")))


def _warn(sentence: str) -> None:
    print(printable(sentence.replace("\n", "?")), file=sys.stderr)
