"""How many songs a genre needs: which songs are held out and chosen, and the table."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import soundfile
from typer.testing import CliRunner

from genre_app.errors import DataError
from train import few_songs

COUNTS = {"blues": 45, "rock": 31, "pop": 12}  # numbers of GTZAN from 0; a third of the tens is held out


@dataclass(frozen=True)
class Track:
    track_id: str
    genre: str

    @property
    def path(self) -> Path:
        return Path(self.track_id)


def tracks() -> list[Track]:
    """Two pieces of each song."""
    return [
        Track(f"{genre}/{genre}.{number:05}.{piece}.wav", genre)
        for genre, count in COUNTS.items()
        for number in range(count)
        for piece in (0, 1)
    ]


def test_a_smaller_choice_is_part_of_a_larger_one_and_nothing_of_it_is_held_out():
    training, held_out = few_songs.songs(tracks())
    assert {genre: (len(training[genre]), len(held_out[genre])) for genre in training} == {"blues": (50, 40), "rock": (40, 22)}
    choices = [{track.track_id for track in few_songs.chosen(training, count, 3)} for count in (5, 10, 20, 0)]
    assert [len(choice) for choice in choices] == [2 * 2 * 5, 2 * 2 * 10, 2 * 2 * 20, 90]
    assert choices[0] < choices[1] < choices[2] < choices[3]
    assert not choices[3] & {track.track_id for of_genre in held_out.values() for track in of_genre}
    with pytest.raises(DataError, match=r"hit.wav has no name of GTZAN"):
        few_songs.songs([Track("rock/hit.wav", "rock")])


def test_each_run_gets_its_songs_and_the_table_their_results(tmp_path, monkeypatch):
    for track in tracks():
        path = tmp_path / "audio" / track.track_id
        path.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(path, np.zeros(800), 8000)
    asked = {}

    def finished(path, request):
        asked[path.name] = request
        epoch = SimpleNamespace(recorded_accuracy=0.5, recorded_log_loss=1.5)
        valid = {"n_tracks": 62, "accuracy": 0.75, "accuracy_ci95": [0.63, 0.84], "log_loss": 0.9}
        return SimpleNamespace(report=lambda: {"valid": valid}, journal=lambda: SimpleNamespace(epochs=[epoch]))

    monkeypatch.setattr(few_songs, "finished_run", finished)
    given = ["--audio", str(tmp_path / "audio"), "--init-from", "msd", "--out", str(tmp_path / "out")]
    found = CliRunner().invoke(few_songs.app, given, catch_exceptions=False)
    assert list(asked) == [f"{kind}-{count}" for count in (5, 10, 20, "all") for kind in ("tuned", "scratch")]
    assert (asked["tuned-5"].init_from, asked["scratch-5"].init_from) == ("msd", None)
    assert asked["scratch-5"].settings["unfreeze"] == []
    with Path(asked["tuned-10"].settings["split.file"]).open(encoding="utf-8") as file:
        splits = [row["split"] for row in csv.DictReader(file)]
    assert {split: splits.count(split) for split in splits} == {"train": 40, "test": 50, "valid": 62}
    assert {path.name for path in (tmp_path / "out" / "songs").iterdir()} == {"blues", "rock"}
    assert "| 5 | 62 | 75% (63% to 84%), 0.90 | 50% (38% to 62%), 1.50 | 75% (63% to 84%), 0.90 |" in found.output
    assert "| all | 62 |" in found.output
    asked.clear()
    CliRunner().invoke(few_songs.app, [*given, "--count", "10"], catch_exceptions=False)
    assert list(asked) == ["tuned-10", "scratch-10"]
    (tmp_path / "audio").rename(tmp_path / "moved")
    given[1] = str(tmp_path / "moved")
    CliRunner().invoke(few_songs.app, [*given, "--count", "5"], catch_exceptions=False)
    assert next((tmp_path / "out" / "songs" / "rock").iterdir()).resolve().parent == tmp_path / "moved" / "rock"
