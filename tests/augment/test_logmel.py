"""Augmentation of a batch of log-mel spectrograms: shares, seeds, and what is left unchanged."""

from __future__ import annotations

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from genre_app.augment.config import AugmentConfig, LogMelConfig
from genre_app.augment.logmel import apply_chain, augment, draw_rates
from genre_app.features import FeatureSpec, finish

SPEC = FeatureSpec(hop_length=512, segment_seconds=3.0, top_db=120.0)


@pytest.fixture
def generator():
    return torch.Generator().manual_seed(5)


@pytest.fixture(scope="module")
def sound():
    """A random spectrogram in dB, [1, bands, frames]."""
    return torch.randn(1, SPEC.n_mels, 130, generator=torch.Generator().manual_seed(1)) * 8 - 40


EVERYTHING = LogMelConfig(
    **{
        f"{part}_probability": 0.7
        for part in ("pitch", "equaliser", "coloration", "reverb", "response", "coloured_noise", "white_noise", "gain", "floor")
    }
)


ALL = AugmentConfig(
    mild_share=0.4,
    mild=EVERYTHING,
    recorded_share=0.4,
    recorded=EVERYTHING,
    mix_style_probability=0.5,
    mask_probability=0.5,
    mixup_probability=1.0,
)


def test_without_augmentation_nothing_changes(sound, generator):
    db, targets = sound.repeat(4, 1, 1), torch.eye(4)
    same, same_targets = augment(db, targets, AugmentConfig(), SPEC, generator)
    assert torch.equal(same, db)
    assert torch.equal(same_targets, targets)
    assert torch.equal(apply_chain(db, LogMelConfig(), SPEC, generator), db)


def test_each_chain_changes_its_share_of_the_batch(sound, generator):
    db, targets = sound.repeat(20, 1, 1), torch.eye(20)
    config = AugmentConfig(mild_share=0.25, mild=LogMelConfig(gain_probability=1.0, gain_db=(-9.0, -3.0)))
    changed, _ = augment(db, targets, config, SPEC, generator)
    assert ((changed - db).abs().amax(dim=(1, 2)) > 1.0).tolist() == [True] * 5 + [False] * 15


def test_shares_of_small_batches_are_rounded(generator):
    config = AugmentConfig(mild_share=0.5, recorded_share=0.5, mild=EVERYTHING, recorded=EVERYTHING)
    for size in (1, 2, 3, 5, 7):
        changed, _ = augment(torch.randn(size, 128, 20), torch.eye(size), config, SPEC, generator)
        assert changed.shape == (size, 128, 20)
    with pytest.raises(ValueError, match="must not exceed 1"):
        AugmentConfig(mild_share=0.6, recorded_share=0.5)


def test_spare_rest_leaves_the_rest_without_stretch_masks_and_mixup(generator):
    everything = {"mask_probability": 1.0, "mixup_probability": 1.0, "stretch_probability": 1.0}
    config = AugmentConfig(mild_share=0.25, mild=EVERYTHING, spare_rest=True, **everything)
    db, targets = torch.randn(20, 128, 30, generator=generator), torch.eye(20)
    changed, blended = augment(db, targets, config, SPEC, generator)
    rates = draw_rates(20, config, generator)
    assert torch.equal(changed[5:], db[5:])
    assert torch.equal(blended[5:], targets[5:])
    assert (rates[5:] == 1.0).all()
    assert (rates[:5] != 1.0).all()
    assert (rates - 1.0).abs().max() <= config.stretch
    assert (changed[:5] != db[:5]).any(dim=(1, 2)).all()
    assert (draw_rates(500, config.model_copy(update={"spare_rest": False}), generator) != 1.0).all()


def test_mix_style_changes_its_share_of_the_items_and_no_target(generator):
    db, targets = torch.randn(400, 8, 20, generator=generator), torch.eye(400)
    changed, same = augment(db, targets, AugmentConfig(mix_style_probability=0.25), SPEC, generator)
    assert torch.equal(same, targets)
    assert (changed != db).any(dim=(1, 2)).float().mean() == pytest.approx(0.25, abs=0.07)


def test_the_same_seed_gives_the_same_batch_and_another_seed_another(sound):
    db, targets = sound.repeat(10, 1, 1), torch.eye(10)
    first, again, other = (augment(db, targets, ALL, SPEC, torch.Generator().manual_seed(seed))[0] for seed in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert torch.isfinite(first).all()
    assert torch.isfinite(other).all()


class NothingIsRead(TorchDispatchMode):
    """Fail where a value is read from a tensor or a tensor is made of values: on a GPU, both wait for the device."""

    def __torch_dispatch__(self, op, types, args=(), kwargs=None):
        assert op.overloadpacket not in {
            torch.ops.aten._local_scalar_dense,
            torch.ops.aten.is_nonzero,
            torch.ops.aten.nonzero,
            torch.ops.aten.lift_fresh,
            torch.ops.aten.masked_select,
        }, op
        return op(*args, **(kwargs or {}))


def test_augmenting_never_synchronises_with_the_device(sound, generator):
    spec = FeatureSpec(kind="mfcc_delta", hop_length=512, segment_seconds=3.0)
    db, targets = sound.repeat(10, 1, 1), torch.eye(10)

    def step():
        changed, _ = augment(db, targets, ALL, spec, generator)
        return finish(changed, spec), draw_rates(10, ALL, generator)

    step()  # fills the caches
    with NothingIsRead():
        step()
    with NothingIsRead(), pytest.raises(AssertionError, match="_local_scalar_dense"):
        float(db.sum())


def test_digital_silence_survives_the_chain(generator):
    db = torch.full((10, 128, 130), -100.0)
    assert torch.isfinite(augment(db, torch.eye(10), ALL, SPEC, generator)[0]).all()
