"""Changes of the sound, and the answers along them."""

from __future__ import annotations

import numpy as np
import pytest

from genre_app.audio import Clip
from genre_app.explain import CHANGES, changed, what_if
from genre_app.predict import classify

RATE = 22050


def tone(hz: float, seconds: float = 3.0) -> Clip:
    return Clip((0.3 * np.sin(2 * np.pi * hz * np.arange(round(seconds * RATE)) / RATE)).astype(np.float32), RATE)


def power(samples: np.ndarray) -> float:
    return float(np.mean(np.square(samples, dtype=np.float64)))


def loudest_hz(clip: Clip) -> float:
    spectrum = np.abs(np.fft.rfft(clip.samples * np.hanning(len(clip.samples))))
    return float(np.fft.rfftfreq(len(clip.samples), 1 / RATE)[spectrum.argmax()])


@pytest.mark.parametrize("change", CHANGES)
def test_the_neutral_value_gives_the_answer_for_the_clip_itself(change, make_clip, checkpoint):
    clip, chosen = make_clip(6.0), CHANGES[change]
    others = [value for value in chosen.values if value != chosen.neutral]
    neutral, other = what_if(clip, checkpoint, change, [chosen.neutral, others[-1]], vote="majority")
    np.testing.assert_array_equal(neutral.probabilities, classify(clip, checkpoint, vote="majority").probabilities)
    assert not np.array_equal(other.probabilities, neutral.probabilities)
    assert list(chosen.values) == sorted(chosen.values)
    assert len(others) == len(chosen.values) - 1


def test_pitch_moves_a_tone():
    assert loudest_hz(changed(tone(440.0), "pitch", 4)) == pytest.approx(440 * 2 ** (4 / 12), rel=0.01)


def test_tempo_changes_the_length_and_keeps_the_pitch():
    faster = changed(tone(440.0), "tempo", 1.25)
    assert faster.duration_seconds == pytest.approx(3.0 / 1.25, rel=0.02)
    assert loudest_hz(faster) == pytest.approx(440, rel=0.01)


def test_cuts_remove_what_lies_outside():
    for change, value, kept, removed in (("low_cut", 500, 2000, 100), ("high_cut", 1000, 200, 8000)):
        before, after = (power(clip.samples) for clip in (tone(kept), changed(tone(kept), change, value)))
        assert after == pytest.approx(before, rel=0.1)
        before, after = (power(clip.samples) for clip in (tone(removed), changed(tone(removed), change, value)))
        assert after < before / 1000


def test_noise_has_its_level_and_is_always_the_same():
    clip = tone(440.0)
    first, second = (changed(clip, "noise", -10).samples for _ in range(2))
    np.testing.assert_array_equal(first, second)
    assert 10 * np.log10(power(first - clip.samples) / power(clip.samples)) == pytest.approx(-10, abs=0.2)


def test_a_room_rings_on():
    click = np.zeros(2 * RATE, np.float32)
    click[RATE // 2] = 1.0
    short, long = (changed(Clip(click, RATE), "room", seconds).samples for seconds in (0.3, 1.5))
    late = slice(RATE // 2 + RATE // 3, None)
    assert power(long[late]) > 100 * power(short[late])


@pytest.mark.parametrize("seconds", [1e-6, 0.001])  # shorter than the time until the first reflections
def test_a_room_of_hardly_any_reverberation_is_a_room(seconds):
    samples = changed(tone(440.0), "room", seconds).samples
    assert np.isfinite(samples).all()
    assert samples.any()


def test_a_clip_of_which_nothing_is_left_has_no_answer(checkpoint):
    deep = tone(50.0)
    faded = Clip((deep.samples * np.hanning(len(deep.samples))).astype(np.float32), RATE)  # without clicks at its ends
    (found,) = what_if(faded, checkpoint, "low_cut", [4000])
    assert found is None


@pytest.mark.parametrize(("change", "value", "words"), [("speed", 1, "choose one of: pitch"), ("pitch", 7, "between -6 and 6")])
def test_other_changes_and_values_are_refused(change, value, words):
    with pytest.raises(ValueError, match=words):
        changed(tone(440.0), change, value)
