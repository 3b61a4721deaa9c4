"""Live classification: the same answer as for a file, in constant memory."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from genre_app.audio import Clip
from genre_app.audio.synth import music
from genre_app.predict import SPEECH_WARNING, classify
from genre_app.ui.live import view
from genre_app.ui.live.listener import HOP_SECONDS, WINDOW_SECONDS, Listener
from tests.audio.files import clip_from_array
from tests.conftest import synthesise
from tests.features.test_content import talker
from tests.features.test_noise import noise
from tests.ui.live.stream import RATE, play


def as_a_file(samples: np.ndarray, checkpoint, seconds: float = 0.0):
    """Classify the samples from a time on, with segments as far apart as the listener's."""
    overlap = 1 - HOP_SECONDS / checkpoint.spec.segment_seconds
    return classify(Clip(samples[round(seconds * RATE) :], RATE), checkpoint, overlap=overlap)


@pytest.mark.parametrize("seconds", [2, 3.05, 5, 12.5, 29])
def test_the_answer_is_that_of_a_file(song, checkpoint, seconds):
    listener = Listener(checkpoint)
    samples = song[: round(seconds * RATE)]
    play(listener, samples)
    found, expected = listener.result().prediction, as_a_file(samples, checkpoint)
    np.testing.assert_allclose(found.segment_starts, expected.segment_starts)
    np.testing.assert_allclose(found.segment_probabilities, expected.segment_probabilities, atol=1e-4)
    np.testing.assert_allclose(found.probabilities, expected.probabilities, atol=1e-4)
    # Live judges the last 10 s, a file all of it; the tones of this song swell as syllables do.
    assert set(found.warnings) - {SPEECH_WARNING} == set(expected.warnings) - {SPEECH_WARNING}


def test_the_answer_covers_the_last_30_seconds(song, checkpoint):
    listener = Listener(checkpoint)
    play(listener, song)
    result = listener.result()
    start = 60 - WINDOW_SECONDS + result.offset_seconds
    assert 0 <= result.offset_seconds < 1.1
    expected = as_a_file(song, checkpoint, start)
    # Before the first segment, the file has silence and the listener music.
    np.testing.assert_allclose(result.prediction.segment_probabilities[1:], expected.segment_probabilities[1:], atol=1e-3)
    np.testing.assert_allclose(result.prediction.probabilities, expected.probabilities, atol=0.01)
    assert result.prediction.duration_seconds == pytest.approx(60 - start)


def test_other_rates_and_uneven_pieces_make_no_difference(checkpoint):
    samples = synthesise(10.0, 4, 48000)
    listener, start = Listener(checkpoint), 0
    for size in np.random.default_rng(0).integers(100, 90000, 60):
        listener.add(samples[start : start + size], 48000)
        start += size
    found = listener.result().prediction
    expected = as_a_file(clip_from_array(samples, 48000).samples, checkpoint)
    n = len(found.segment_starts) - 1  # the resampler holds the last samples back, which moves the last segment
    np.testing.assert_allclose(found.segment_probabilities[:n], expected.segment_probabilities[:n], atol=1e-3)


def held_bytes(listener: Listener) -> int:
    arrays = [listener._columns, *(held._samples for held in listener._streams.values())]
    arrays += [array if array.base is None else array.base for array in arrays]
    return sum(array.nbytes for array in arrays) + sum(segment.probabilities.nbytes for segment in listener._segments)


def test_memory_does_not_grow_with_the_stream(song, checkpoint):
    listener = Listener(checkpoint)
    sizes = []
    for _ in range(5):
        play(listener, song)
        sizes.append(held_bytes(listener))
    assert max(sizes) < 3e6
    assert sizes[-1] <= 1.02 * sizes[1]
    assert len(listener._segments) <= 31
    assert listener.result().overview.db.shape[1] == 600


@pytest.mark.parametrize(
    ("samples", "reason", "headline"),
    [(np.zeros(5 * RATE, np.float32), "is_silent", "Silence"), (0.01 * noise(-3, 8.0), "is_noise", "No music heard")],
)
def test_silence_and_noise_get_words_and_no_genre(checkpoint, samples, reason, headline):
    listener = Listener(checkpoint)
    play(listener, samples)
    result = listener.result()
    assert result.prediction is None
    assert getattr(result, reason)
    card = view.card(result)
    assert f">{headline}<" in card
    assert 'class="bars"' not in card
    assert not any(genre in card for genre in checkpoint.genres)


def test_the_last_10_seconds_decide_whether_it_is_speech(checkpoint):
    listener = Listener(checkpoint)
    play(listener, talker(12.0))
    result = listener.result()
    card = view.card(result)
    assert result.prediction.genre is None
    assert ">This sounds like speech, not music<" in card
    assert "The model&#x27;s guess, which means nothing for speech" in card
    assert "Not sure" not in card
    assert view.announcement(result) == "speech"
    assert "won by" not in view.figure(result, checkpoint.genres)
    play(listener, music("disco", 12.0, RATE))
    assert "speech" not in view.card(listener.result())


def test_noise_before_the_music_does_not_vote(song, checkpoint):
    listener = Listener(checkpoint)
    play(listener, 0.01 * noise(-3, 12.0))
    play(listener, song[: 10 * RATE])
    result = listener.result()
    sounds = result.prediction.segment_sounds
    assert not sounds[:7].any()
    assert sounds[-5:].all()
    assert not result.is_noise


def test_sound_that_does_not_arrive_is_reported(song, checkpoint, monkeypatch):
    now = 100.0
    monkeypatch.setattr("genre_app.ui.live.listener.time.monotonic", lambda: now)
    listener = Listener(checkpoint)
    now = 104.0  # no sound has arrived at all
    assert "Too little sound arrived." in view.card(listener.result(), stopped=True)
    now = 100.0
    play(listener, song[: 5 * RATE])
    now = 106.0
    assert listener.result().missed_seconds == 0
    now = 112.0
    assert "8 s of sound did not arrive. Your connection or the server is slow" in view.card(listener.result())


def test_parallel_streams_do_not_mix(checkpoint):
    songs = [synthesise(12.0, seed) for seed in range(6)]

    def answer(samples: np.ndarray) -> np.ndarray:
        listener = Listener(checkpoint)
        play(listener, samples)
        return listener.result().prediction.segment_probabilities

    with ThreadPoolExecutor(6) as pool:
        for together, alone in zip(pool.map(answer, songs), map(answer, songs), strict=True):
            np.testing.assert_allclose(together, alone, atol=1e-5)
