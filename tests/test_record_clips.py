"""The tool that records clips through Chromium's microphone: it takes what was played, and notices a gap."""

from __future__ import annotations

import numpy as np
import pytest
import soundfile

from genre_app.audio import load_clip
from tests import chromium, record_clips
from tests.record_clips import RATE, FaultyTakeError, Take, attempts, check, main

SECONDS = 2.0


@pytest.fixture(scope="module")
def played(make_clip) -> np.ndarray:
    return make_clip(SECONDS + 1, 5, RATE).samples


def test_a_gap_and_silence_are_noticed(played):
    check(played, Take(played[2000:90000], {}))
    with pytest.raises(FaultyTakeError, match="a gap"):
        check(played, Take(np.delete(played, slice(40000, 40480)), {}))
    with pytest.raises(FaultyTakeError, match="nothing arrived"):
        check(played, Take(np.zeros(90000, np.float32), {}))


def test_a_bad_take_is_tried_again(played, monkeypatch):
    whole, bad = Take(played[2000:90000], {}), Take(np.delete(played, slice(40000, 40480)), {})
    other = Take(np.delete(played, slice(80000, 80960)), {})
    empty = Take(np.zeros(90000, np.float32), {})
    for takes, expected, n_notes in (
        ([bad, whole], whole, 1),
        ([empty, empty, whole], whole, 2),
        ([bad, bad], bad, 0),  # the same again is what the browser's processing does
        ([bad, other, bad], bad, 3),
    ):
        waiting = iter(takes)
        monkeypatch.setattr(record_clips, "play_and_record", lambda *_, waiting=waiting: next(waiting))
        take, notes = attempts(played, "music", SECONDS)
        assert take is expected
        assert len(notes) == n_notes
        assert next(waiting, None) is None
    monkeypatch.setattr(record_clips, "play_and_record", lambda *_: empty)
    with pytest.raises(FaultyTakeError, match="nothing arrived; nothing arrived; nothing arrived"):
        attempts(played, "music", SECONDS)


@pytest.mark.browser
def test_a_folder_is_recorded(played, tmp_path, capsys):
    chromium.require()
    for genre in ("jazz", "rock"):
        (tmp_path / "clips" / genre).mkdir(parents=True)
        soundfile.write(tmp_path / "clips" / genre / "a.wav", played, RATE, subtype="FLOAT")
    # It is heard in real time, and a machine that is busy with other things may lose a piece of a take.
    for number in range(3):
        out = tmp_path / f"takes {number}"
        given = [str(tmp_path / "clips"), str(out), "--mode", "music", "--seconds", str(SECONDS), "--parallel", "1"]
        assert main([*given, "--limit", "1"]) == 0
        assert "music [False, False, False]" in capsys.readouterr().err
        assert [file.relative_to(out).as_posix() for file in sorted(out.rglob("*.*"))] == ["jazz/a.wav"]
        heard = load_clip(out / "jazz" / "a.wav", sample_rate=RATE).samples
        assert len(heard) == SECONDS * RATE
        kept = heard[: round(1.5 * RATE)]
        start = int(np.correlate(played[: len(kept) + RATE // 2], kept, "valid").argmax())
        alike = np.corrcoef(played[start : start + len(kept)], kept)[0, 1]
        if alike > 0.99:
            break
    assert alike > 0.99
    (out / "rock").mkdir()
    (out / "rock" / "a.wav").write_text("there already")
    assert main(given) == 0
    assert (out / "rock" / "a.wav").read_text() == "there already"
