"""Evaluation of a checkpoint under listening conditions, compared with the unchanged files.

Conventions
-----------
- Each track is decoded once, and each condition is applied to the decoded track; see `genre_app.evaluation.conditions`.
- All conditions have the same tracks: those that can be classified unchanged. A track that is silent under a condition counts
  as wrong there, with the log-loss of a guess.

Metrics
-------
retention
    Accuracy under the condition divided by accuracy on the files; None if the latter is 0. By chance it may exceed 1.
mean_retention
    Mean retention over the conditions.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from genre_app.audio import Clip
from genre_app.checkpoint import Checkpoint
from genre_app.data.cache.mel_cache import MelCache
from genre_app.data.sources.folder import AudioFolder, match_genres
from genre_app.data.tracks import AudioTrack
from genre_app.errors import DataError
from genre_app.evaluation.conditions import STANDARD, Condition, folder_conditions
from genre_app.evaluation.evaluate import for_each, load_middle
from genre_app.evaluation.metrics import ROW_HEAD, Report, TrackResult
from genre_app.files import AnyPath
from genre_app.predict import NoSoundError, classify

ALL = "all"

_FILE = ""  # key of the unchanged file; no condition has this name
_BELOW_TIE = 0.999  # factor that breaks a tie and changes the log-loss by 0.001


@dataclass(frozen=True, eq=False)
class ConditionsReport:
    """Metrics of a checkpoint on files, and on the same files under conditions.

    Attributes
    ----------
    file : Report
    conditions : dict of str to Report
        Metrics by the condition's name, for the same tracks.
    """

    file: Report
    conditions: Mapping[str, Report]

    def retention(self, name: str) -> float | None:
        """Return accuracy under a condition divided by accuracy on the files; None if the latter is 0."""
        return self.conditions[name].accuracy / self.file.accuracy if self.file.accuracy > 0 else None

    @property
    def mean_retention(self) -> float | None:
        """Mean retention over the conditions, None if there is none."""
        values = [value for name in self.conditions if (value := self.retention(name)) is not None]
        return float(np.mean(values)) if values else None

    def to_dict(self) -> dict[str, Any]:
        """Return plain data: the keys of `Report.to_dict`, ``conditions`` and ``mean_retention``."""
        conditions = {name: {**report.summary(), "retention": self.retention(name)} for name, report in self.conditions.items()}
        return {**self.file.to_dict(), "conditions": conditions, "mean_retention": self.mean_retention}

    def to_table(self) -> str:
        """Return the metrics as text: those of the files, then a row for each condition."""
        width = max(9, *(len(name) for name in self.conditions))
        lines = [
            self.file.to_table(),
            "",
            f"{'condition':{width}}{ROW_HEAD}  retention",
            self.file.to_row("file", width),
        ]
        for name, report in self.conditions.items():
            kept = self.retention(name)
            lines.append(report.to_row(name, width) + ("" if kept is None else f"  {kept:9.1%}"))
        if self.mean_retention is not None:
            over = "1 condition" if len(self.conditions) == 1 else f"{len(self.conditions)} conditions"
            lines.append(f"mean retention over {over}: {self.mean_retention:.1%}")
        return "\n".join(lines)


def choose_conditions(
    names: str | Sequence[str] | None, *, noise: AnyPath | None = None, rooms: AnyPath | None = None
) -> dict[str, Condition]:
    """Return the named conditions and those of the folders, by name; parameters as in `evaluate_conditions`.

    Raises
    ------
    DataError
        For an unknown name, none at all, or a folder that cannot be used.
    """
    try:
        of_folders = folder_conditions(noise, rooms)
    except ValueError as error:
        raise DataError(f"{error}.") from error
    asked = [name.strip() for name in (names.split(",") if isinstance(names, str) else names or ()) if name.strip()]
    known = {**STANDARD, **of_folders}
    chosen: dict[str, Condition] = {}
    for name in asked:
        if name != ALL and name not in known:
            raise DataError(f"there is no condition {name!r}; choose {ALL} or some of: {', '.join(known)}.")
        chosen.update(STANDARD if name == ALL else {name: known[name]})
    chosen.update(of_folders)
    if not chosen:
        raise DataError(f"no condition is named; choose {ALL} or some of: {', '.join(known)}.")
    return chosen


def evaluate_conditions(
    data: AnyPath,
    checkpoint: Checkpoint,
    names: str | Sequence[str] | None = ALL,
    *,
    split: str | None = None,
    overlap: float | None = None,
    seconds: float | None = None,
    noise: AnyPath | None = None,
    rooms: AnyPath | None = None,
    workers: int = 1,
    on_track: Callable[[int, int], None] | None = None,
) -> ConditionsReport:
    """Evaluate a checkpoint on a folder of genre folders, with unchanged files and under conditions.

    Parameters
    ----------
    data : str or os.PathLike
        Folder of audio files; a mel cache has no audio that conditions could change.
    checkpoint : Checkpoint
    names : str, sequence of str or None
        ``all``, or names of `STANDARD` in a string separated by commas; None for the conditions of the folders alone.
    split, overlap, seconds, workers, on_track
        As in `genre_app.evaluation.evaluate.evaluate`.
    noise, rooms : str or os.PathLike, optional
        Folders of noises and of impulse responses; they add the conditions ``user-noise-20`` to ``user-noise-0`` and
        ``user-room``, in which each track gets one of the files.

    Returns
    -------
    ConditionsReport

    Raises
    ------
    DataError
        As in `genre_app.evaluation.evaluate.evaluate`; also for a mel cache, an unknown condition, or an unusable folder.
    """
    conditions = choose_conditions(names, noise=noise, rooms=rooms)
    path = Path(data)
    if MelCache.is_cache(path):
        raise DataError(f"{path} is a mel cache, and conditions need audio; give a folder of genre folders with audio files.")
    folder = AudioFolder.open(path, split)
    labels = match_genres((track.genre for track in folder.tracks), checkpoint.genres, folder.path)
    rate = checkpoint.sample_rate

    def answer(track: AudioTrack, clip: Clip) -> TrackResult:
        prediction = classify(clip, checkpoint, overlap=overlap)
        return TrackResult(track.track_id, labels[track.genre], prediction.segment_probabilities[prediction.segment_sounds])

    def one(track: AudioTrack) -> dict[str, TrackResult]:
        clip = load_middle(track, rate, seconds)
        row = {_FILE: answer(track, clip)}
        for name, condition in conditions.items():
            try:
                row[name] = answer(track, Clip(condition.apply(clip.samples, rate, track.track_id), rate, track.track_id))
            except NoSoundError:
                label = labels[track.genre]
                row[name] = TrackResult(track.track_id, label, _guess(label, len(checkpoint.genres)))
        return row

    failed = list(folder.refused)
    rows = for_each(one, folder.tracks, failed, where=path, workers=workers, on_track=on_track)

    def report(name: str, failed: Sequence[tuple[str, str]] = ()) -> Report:
        return Report(checkpoint.genres, tuple(row[name] for row in rows), checkpoint.references, tuple(failed))

    return ConditionsReport(report(_FILE, failed), {name: report(name) for name in conditions})


def _guess(label: int, n_genres: int) -> NDArray[np.float32]:
    """Return equal probabilities [1, genres], slightly lower for the true genre so that a tie never counts as right."""
    guess = np.full((1, n_genres), 1.0 / n_genres, np.float32)
    guess[0, label] *= _BELOW_TIE
    return guess
