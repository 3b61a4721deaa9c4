"""Hostile pieces of a stream, and too many visitors who listen."""

from __future__ import annotations

import copy
import io
import os
import tracemalloc
from itertools import count
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import soundfile

from genre_app.ui.live import tab as live
from genre_app.ui.live.pieces import MAX_PIECE_BYTES, MAX_PIECE_SECONDS
from genre_app.ui.live.sessions import Sessions
from tests.ui.live.stream import RATE, piece


@pytest.fixture(autouse=True)
def _alone(monkeypatch) -> None:
    """Count only the sessions of one test."""
    monkeypatch.setattr(live, "_sessions", Sessions())


def written(path: Path, seconds: float, channels: int = 1, rate: int = RATE) -> str:
    """Write silence, a second at a time."""
    path.parent.mkdir(exist_ok=True)
    with soundfile.SoundFile(path, "w", rate, channels) as file:
        for _ in range(round(seconds)):
            file.write(np.zeros((rate, channels), np.float32))
    return str(path)


@pytest.mark.parametrize(
    ("seconds", "channels", "rate", "reason"),
    [
        (600, 1, 8000, "longer than 30 s"),
        (20, 8, 48000, "8 channels"),
        (2, 1, 384000, "384000 Hz"),
        (2, 1, 2000, "2000 Hz"),
        (600, 8, 48000, "another format than plain WAV"),
    ],
)
def test_a_piece_that_no_recorder_sends_is_refused_before_it_is_decoded(bundled, tmp_path, seconds, channels, rate, reason):
    suffix = "flac" if "WAV" in reason else "wav"  # 10 minutes of silence in 8 channels are small as FLAC
    path = written(tmp_path / "1" / f"audio.{suffix}", seconds, channels, rate)
    session, _ = live.begin("default", "mean", None)
    tracemalloc.start()
    try:
        card, *_ = live.listen(path, session)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert reason in card
    assert peak < 4e6
    assert session.listener.result().seconds == 0


def test_a_piece_of_many_bytes_is_refused(bundled, tmp_path):
    path = Path(piece(tmp_path, np.zeros(RATE, np.float32)))
    os.truncate(path, MAX_PIECE_BYTES + 1)
    assert "MB" in live.listen(str(path), live.begin("default", "mean", None)[0])[0]


def test_a_late_piece_is_decoded_in_blocks(bundled, song, tmp_path):
    session, _ = live.begin("default", "mean", None)
    stereo = np.stack([song[: 20 * RATE]] * 2, axis=1)
    path = piece(tmp_path, stereo)
    sizes = []
    add = session.listener.add
    session.listener.add = lambda samples, rate: (sizes.append(len(samples)), add(samples, rate))
    live.listen(path, session)
    assert sizes == [RATE] * 20
    assert session.listener.result().seconds == 20
    assert MAX_PIECE_SECONDS >= 20


def test_a_header_that_states_a_huge_length_costs_no_memory(bundled, tmp_path):
    file = io.BytesIO()
    soundfile.write(file, np.full(RATE, 0.1, np.float32), RATE, format="WAV")
    data = bytearray(file.getvalue())
    data[40:44] = b"\xff\xff\xff\x7f"
    path = tmp_path / "audio.wav"
    path.write_bytes(data)
    session, _ = live.begin("default", "mean", None)
    live.listen(str(path), session)
    assert session.listener.result().seconds == 1


def test_a_forged_path_deletes_no_upload(bundled, song, tmp_path):
    """A visitor names the files of others as pieces of their own stream."""
    upload = Path(piece(tmp_path, song[:RATE]))
    os.utime(upload, (1, 1))  # it lay there before the recording began
    other = upload.with_name("song.wav")
    other.write_bytes(upload.read_bytes())
    session, _ = live.begin("default", "mean", None)
    for path in (upload, other):
        live.listen(str(path), session)
    live.end(session)
    assert upload.exists()
    assert other.exists()


def request(name: str) -> SimpleNamespace:
    return SimpleNamespace(session_hash=name)


def test_only_so_many_visitors_listen_at_once(bundled, song, tmp_path, monkeypatch):
    monkeypatch.setattr(live, "LISTENING", 3)
    clock = count(1000)  # one tick for each look at it
    monkeypatch.setattr("genre_app.ui.live.sessions.time.monotonic", lambda: float(next(clock)))
    monkeypatch.setattr("genre_app.ui.live.sessions.IDLE_SECONDS", 10_000.0)
    sessions = [live.begin("default", "mean", None, request=request(str(number)))[0] for number in range(3)]
    refused, card = live.begin("default", "mean", None, request=request("late"))
    assert refused is None
    assert "3 visitors" in card
    # A visitor who begins again takes no second place, and one who stops makes room.
    sessions[1], _ = live.begin("default", "mean", None, request=request("1"))
    assert "Stopped" in live.end(sessions[2])
    sessions.append(live.begin("default", "mean", None, request=request("late"))[0])
    assert None not in sessions
    # Nothing arrives for a minute, so others take the places; memory holds the latest recordings only.
    clock = count(20_000)
    later = [live.begin("default", "mean", None, request=request(f"later {number}"))[0] for number in range(2)]
    assert None not in later
    cards = [live.listen(piece(tmp_path, song[:RATE]), session)[0] for session in (*sessions, *later)]
    assert ["record again" in card for card in cards] == [True, False, True, False, False, False]


def test_the_weights_of_all_who_listen_are_limited(bundled, checkpoint, monkeypatch):
    size = sum(tensor.nbytes for member in checkpoint.members for tensor in member.model.state_dict().values())
    monkeypatch.setattr("genre_app.ui.live.sessions.MAX_WEIGHT_BYTES", 1.5 * size)
    monkeypatch.setattr("genre_app.ui.live.sessions.checkpoint_named", lambda name, own: copy.deepcopy(checkpoint))
    first, _ = live.begin("default", "mean", None)
    refused, card = live.begin("default", "mean", None)
    assert refused is None
    assert "choose the default one" in card
    live.end(first)
    assert live.begin("default", "mean", None)[0] is not None
