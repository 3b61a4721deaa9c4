"""Presets: what they leave alone, what they change, and how close log-mel augmentations come to those of the waveform."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from pydantic import ValidationError

from genre_app.audio.synth import STYLES, music
from genre_app.augment.logmel import augment, draw_rates
from genre_app.augment.presets import DESCRIPTIONS, PRESETS
from genre_app.augment.preview import preview
from genre_app.features import FeatureSpec, extract
from genre_app.training import TrainConfig

SPEC = FeatureSpec(hop_length=512, segment_seconds=6.0, top_db=200.0)
RATE = SPEC.sample_rate


@pytest.fixture(scope="module")
def pieces():
    """Six seconds of each style without the fade at their end, float32 [styles, n]."""
    return np.stack([music(style, 7.0, seed=2)[: 6 * RATE] for style in STYLES])


@pytest.fixture
def generator():
    return torch.Generator().manual_seed(3)


def log_mel(samples):
    return extract(torch.from_numpy(np.ascontiguousarray(samples, np.float32)), SPEC)


@pytest.mark.parametrize("name", PRESETS)
def test_a_name_stands_for_its_settings_and_is_not_remembered(name):
    held = TrainConfig.model_validate({"augment": name})
    assert held.augment == PRESETS[name]
    assert TrainConfig.model_validate_json(held.model_dump_json()) == held
    assert name not in held.model_dump()["augment"].values()


def test_an_unknown_name_is_refused_with_the_choice():
    with pytest.raises(ValidationError, match=r"no augmentation 'loud'; choose one of: none, noise, pitch, noise\+pitch"):
        TrainConfig.model_validate({"augment": "loud"})
    with pytest.raises(ValueError, match="choose one of: none"):
        preview(np.zeros(1000, np.float32), RATE, "loud", 0)


def test_each_preset_has_its_sentence():
    assert list(DESCRIPTIONS) == list(PRESETS) == ["none", "noise", "pitch", "noise+pitch", "mixup", "all", "recorded"]
    assert all(sentence.endswith(".") and len(sentence) < 160 for sentence in DESCRIPTIONS.values())


@pytest.mark.parametrize("name", [name for name in PRESETS if name != "none"])
def test_half_of_a_batch_stays_as_it_is(name, pieces, generator):
    db = log_mel(np.concatenate([np.roll(pieces, 20_000 * turn, axis=1) for turn in range(4)]))
    targets = torch.eye(20)
    rates = draw_rates(20, PRESETS[name], generator)
    changed, blended = augment(db, targets, PRESETS[name], SPEC, generator)
    assert torch.equal(changed[10:], db[10:])
    assert torch.equal(blended[10:], targets[10:])
    assert (rates[10:] == 1.0).all()
    assert ((changed[:10] - db[:10]).abs().amax(dim=(1, 2)) > 0.1).sum() >= 8
    assert (blended[:10] != targets[:10]).any() == (name in ("mixup", "all"))
    assert (rates != 1.0).any() == (name == "all")


def test_no_preset_changes_nothing(pieces, generator):
    db, targets = log_mel(pieces), torch.eye(5)
    changed, blended = augment(db, targets, PRESETS["none"], SPEC, generator)
    assert torch.equal(changed, db)
    assert torch.equal(blended, targets)


@pytest.mark.parametrize("name", PRESETS)
def test_a_preview_can_be_heard_and_is_the_same_each_time(name, pieces):
    before, other = pieces[0], pieces[1]
    after = preview(before, RATE, name, 7, other)
    assert after.dtype == np.float32
    assert np.abs(after).max() <= 1.0
    assert np.isfinite(after).all()
    np.testing.assert_array_equal(preview(before, RATE, name, 7, other), after)
    if name == "none":
        np.testing.assert_array_equal(after, before)
    else:
        assert not np.array_equal(preview(before, RATE, name, 8, other), after)
    assert (len(after) != len(before)) == (name == "all")


def test_previews_do_what_they_say(pieces):
    piece = pieces[STYLES.index("classical")]
    added = preview(piece, RATE, "noise", 1) - piece
    assert 0.001 <= added.std() <= 0.015
    for seed in range(5):
        blended = preview(piece, RATE, "mixup", seed, pieces[0])
        share = np.linalg.lstsq(np.stack([piece, pieces[0]], axis=1), blended, rcond=None)[0]
        assert share.sum() == pytest.approx(1.0, abs=1e-3)
        assert 0.499 <= share[0] <= 1.001
    np.testing.assert_array_equal(preview(piece, RATE, "mixup", 1), piece)  # there is nothing to blend it with


def test_a_recording_is_heard_in_a_room_of_a_small_device(pieces):
    piece = pieces[STYLES.index("blues")]
    changed = [preview(piece, RATE, "recorded", seed) for seed in range(6)]
    lost = [10 * np.log10(np.mean(np.abs(np.fft.rfft(one)[:180]) ** 2) / np.mean(one**2)) for one in (piece, *changed)]
    assert np.mean(lost[1:]) < lost[0] - 6  # under 30 Hz small devices hear little
    assert all(len(one) == len(piece) for one in changed)
    silent = np.concatenate([piece, np.zeros(RATE, np.float32)])
    tails = [preview(silent, RATE, "recorded", seed)[-RATE + 200 :][: RATE // 10] for seed in range(6)]
    assert np.median([np.abs(tail).max() for tail in tails]) > 1e-3  # the room rings on
