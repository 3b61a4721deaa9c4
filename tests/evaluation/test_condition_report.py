"""Evaluation under conditions: metrics computed by hand, the table and JSON of the command, and refused input."""

from __future__ import annotations

import csv
import json
import os
from pathlib import Path

import numpy as np
import pytest
import soundfile
from typer.testing import CliRunner

from genre_app.audio import Clip, load_clip
from genre_app.cli import build
from genre_app.errors import DataError
from genre_app.evaluation.conditions import STANDARD, Condition
from genre_app.evaluation.conditions.report import ConditionsReport, choose_conditions, evaluate_conditions
from genre_app.evaluation.evaluate import evaluate
from genre_app.evaluation.metrics import Report, TrackResult
from genre_app.predict import classify

RATE = 22050
TRACKS = {"blues/a.wav": 0, "blues/b.wav": 1, "Hip-Hop/c.wav": 2, "rock/d.wav": 3}
FAST = "white-5,telephone,gain-20"


@pytest.fixture(scope="module")
def folder(make_clip, tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("tracks")
    for path, seed in TRACKS.items():
        (root / path).parent.mkdir(exist_ok=True)
        soundfile.write(root / path, make_clip(5.0 + seed, seed).samples, RATE, subtype="FLOAT")
    (root / "rock" / "bad.mp3").write_text("no music")
    return root


@pytest.fixture
def cache(tmp_path, checkpoint) -> Path:
    stated = checkpoint.spec.model_dump(mode="json")
    (tmp_path / "spec.json").write_text(json.dumps({**stated, "kind": "log_mel"}))
    np.save(tmp_path / "log_mel.npy", np.zeros((100, checkpoint.spec.n_mels), np.float16))
    with (tmp_path / "index.csv").open("w", newline="") as file:
        csv.writer(file).writerows([["track_id", "genre", "split", "offset", "n_frames"], ["a", "rock", "valid", 0, 100]])
    return tmp_path


@pytest.fixture
def run(checkpoint_path):
    def call(*arguments: str | os.PathLike) -> tuple[int, str, str]:
        given = ["evaluate", *map(os.fspath, arguments), "--checkpoint", os.fspath(checkpoint_path), "--threads", "1"]
        result = CliRunner().invoke(build(), given)
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result.exit_code, result.stdout, result.stderr

    return call


def report(n_right: int, n: int) -> Report:
    rows = [[0.9, 0.1] if index < n_right else [0.1, 0.9] for index in range(n)]
    return Report(("a", "b"), tuple(TrackResult(str(index), 0, np.array([row], np.float32)) for index, row in enumerate(rows)))


# Numbers by hand


def test_retention_is_a_share_of_the_files_accuracy():
    made = ConditionsReport(report(8, 10), {"telephone": report(6, 10), "white-0": report(2, 10), "gain-20": report(9, 10)})
    assert made.retention("telephone") == pytest.approx(0.75)
    assert made.retention("white-0") == pytest.approx(0.25)
    assert made.retention("gain-20") == pytest.approx(1.125)
    assert made.mean_retention == pytest.approx((0.75 + 0.25 + 1.125) / 3)
    found = made.to_dict()
    assert list(found)[-2:] == ["conditions", "mean_retention"]
    assert list(found)[:-2] == list(report(8, 10).to_dict())
    assert found["accuracy"] == 0.8
    assert found["mean_retention"] == made.mean_retention
    loss = -(6 * np.log(0.9) + 4 * np.log(0.1)) / 10
    assert found["conditions"]["telephone"] == {
        "n_tracks": 10,
        "accuracy": 0.6,
        "accuracy_ci95": list(report(6, 10).accuracy_interval),
        "log_loss": pytest.approx(loss, rel=1e-6),
        "retention": pytest.approx(0.75),
    }
    *_, header, file, telephone, white, _, mean = made.to_table().splitlines()
    assert header.split() == ["condition", "n", "accuracy", "95", "%", "interval", "log-loss", "retention"]
    assert file.split()[:3] == ["file", "10", "80.0%"]
    assert telephone.split() == ["telephone", "10", "60.0%", "31.3%", "to", "83.2%", "0.984", "75.0%"]
    assert white.split()[-1] == "25.0%"
    assert mean == "mean retention over 3 conditions: 70.8%"
    alone = ConditionsReport(report(8, 10), {"telephone": report(6, 10)})
    assert alone.to_table().endswith("mean retention over 1 condition: 75.0%")


def test_nothing_can_be_retained_of_nothing():
    made = ConditionsReport(report(0, 4), {"telephone": report(1, 4)})
    found = json.loads(json.dumps(made.to_dict(), allow_nan=False))
    assert found["conditions"]["telephone"]["retention"] is None
    assert found["mean_retention"] is None
    assert "retention over" not in made.to_table()


# Tracks under conditions


def test_a_condition_is_applied_to_each_track(folder, checkpoint):
    made = evaluate_conditions(folder, checkpoint, FAST)
    assert list(made.conditions) == FAST.split(",")
    assert made.file.to_dict() == evaluate(folder, checkpoint).to_dict()
    assert [file for file, _ in made.file.failed] == ["rock/bad.mp3"]
    for name, under in made.conditions.items():
        assert [track.track_id for track in under.tracks] == sorted(TRACKS)
        for track, plain in zip(under.tracks, made.file.tracks, strict=True):
            assert track.label == plain.label
            clip = load_clip(folder / track.track_id)
            changed = Clip(STANDARD[name].apply(clip.samples, RATE, track.track_id), RATE)
            expected = classify(changed, checkpoint)
            np.testing.assert_array_equal(track.probabilities, expected.segment_probabilities[expected.segment_sounds])
            assert name == "gain-20" or np.abs(track.probabilities - plain.probabilities).max() > 1e-3


def test_neither_workers_nor_the_other_conditions_change_anything(folder, checkpoint):
    calls = []
    first = evaluate_conditions(folder, checkpoint, FAST, on_track=lambda *call: calls.append(call))
    second = evaluate_conditions(folder, checkpoint, ["telephone", "room-kitchen", "white-5"], workers=3)
    assert calls == [(done, 5) for done in range(1, 6)]
    for name in ("telephone", "white-5"):
        assert first.to_dict()["conditions"][name] == second.to_dict()["conditions"][name]


def test_seconds_are_taken_from_the_middle(folder, make_clip, checkpoint):
    whole = make_clip(5.0, 0).samples
    start = (len(whole) - round(3.2 * RATE)) // 2
    middle = Clip(whole[start : start + round(3.2 * RATE)], RATE)
    expected = classify(middle, checkpoint).segment_probabilities
    for made in (evaluate(folder, checkpoint, seconds=3.2), evaluate_conditions(folder, checkpoint, FAST, seconds=3.2).file):
        (result,) = [track for track in made.tracks if track.track_id == "blues/a.wav"]
        np.testing.assert_allclose(result.probabilities, expected, atol=1e-6)
    for longer in (60, float("inf")):
        assert evaluate(folder, checkpoint, seconds=longer).to_dict() == evaluate(folder, checkpoint).to_dict()


def test_a_track_that_falls_silent_counts_as_wrong(folder, checkpoint, monkeypatch):
    monkeypatch.setitem(STANDARD, "deaf", Condition("deaf", "nothing is heard", lambda samples, *_: 0 * samples))
    deaf = evaluate_conditions(folder, checkpoint, "deaf").conditions["deaf"]
    assert len(deaf.tracks) == 4
    assert deaf.accuracy == 0.0
    assert deaf.log_loss == pytest.approx(np.log(10), abs=0.01)


def test_all_are_all_and_folders_add_theirs(tmp_path):
    soundfile.write(tmp_path / "a.wav", np.ones(500), RATE)
    assert list(choose_conditions("all")) == list(STANDARD)
    user = [f"user-noise-{snr}" for snr in (20, 10, 5, 0)]
    assert list(choose_conditions("telephone, gain-20", noise=tmp_path)) == ["telephone", "gain-20", *user]
    assert list(choose_conditions(None, rooms=tmp_path)) == ["user-room"]
    assert list(choose_conditions("all", noise=tmp_path, rooms=tmp_path)) == [*STANDARD, *user, "user-room"]


# The command


def test_the_command_as_json(run, folder, checkpoint):
    code, out, err = run(folder, "--conditions", FAST, "--format", "json")
    assert (code, err) == (0, "")
    found = json.loads(out, parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))
    assert found == json.loads(json.dumps(evaluate_conditions(folder, checkpoint, FAST).to_dict()))
    assert list(found["conditions"]) == FAST.split(",")
    for row in found["conditions"].values():
        assert list(row) == ["n_tracks", "accuracy", "accuracy_ci95", "log_loss", "retention"]
        assert row["n_tracks"] == found["n_tracks"] == 4


def test_the_command_as_table(run, folder):
    code, out, _ = run(folder, "--conditions", "telephone,gain-20", "--seconds", "4")
    assert code == 0
    assert "4 tracks, 1 failed" in out
    rows = [line.split()[0] for line in out.splitlines() if line]
    assert rows[rows.index("condition") :][:4] == ["condition", "file", "telephone", "gain-20"]


def test_the_command_with_a_users_folders(run, folder, tmp_path):
    soundfile.write(tmp_path / "click.wav", np.eye(1, 200)[0], RATE, subtype="FLOAT")
    code, out, _ = run(folder, "--noise", tmp_path, "--rooms", tmp_path, "--format", "json")
    found = json.loads(out)
    assert code == 0
    assert list(found["conditions"]) == ["user-noise-20", "user-noise-10", "user-noise-5", "user-noise-0", "user-room"]
    assert found["conditions"]["user-room"]["log_loss"] == pytest.approx(found["log_loss"], abs=1e-4)  # a click changes nothing


def test_what_cannot_be_done_is_said_in_one_sentence(run, folder, cache, tmp_path_factory):
    empty = tmp_path_factory.mktemp("empty")
    for arguments, message in (
        ([folder, "--conditions", "telephone,fax"], "there is no condition 'fax'; choose all or some of: white-20, "),
        ([folder, "--conditions", "user-room"], "there is no condition 'user-room'; choose all or some of"),
        ([folder, "--conditions", " ,"], "no condition is named; choose all or some of"),
        ([folder, "--noise", empty], "has no WAV, FLAC"),
        ([folder, "--rooms", empty / "none"], "none is not a folder"),
        ([cache, "--conditions", "all"], "is a mel cache, and conditions need audio"),
        ([cache, "--seconds", "5"], "is a mel cache, of which only whole tracks are evaluated"),
        ([empty, "--conditions", "all"], "has no audio files in genre folders"),
    ):
        code, out, err = run(*arguments)
        assert (code, out) == (2, "")
        assert message in err
        assert err.startswith("error: ")
        assert err.endswith(".\n") or "it should hold" in err
        assert err.count("\n") == 1


def test_nothing_that_can_be_classified_is_an_error(checkpoint, tmp_path):
    (tmp_path / "rock").mkdir()
    (tmp_path / "rock" / "text.mp3").write_text("no music")
    with pytest.raises(DataError, match="not one of 1 tracks can be classified"):
        evaluate_conditions(tmp_path, checkpoint, "telephone")
