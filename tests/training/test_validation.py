"""Validation on files and on imitated recordings of them, by which the epoch is chosen."""

from __future__ import annotations

import itertools
from dataclasses import replace

import pytest
import torch

from genre_app.augment.config import AugmentConfig
from genre_app.data.cache.mel_cache import MelCache
from genre_app.features import FeatureSpec, segment_start_frames
from genre_app.progress import Monitor, StoppedError
from genre_app.training import fit, validation
from tests.two_beats import CONFIG, CPU, SPEC, datasets, run_all, write_cache

HISS = {"recorded_share": 0.5, "recorded": {"coloured_noise_probability": 1.0, "coloured_noise_snr_db": (-60.0, -60.0)}}


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return MelCache.open(write_cache(tmp_path_factory.mktemp("cache")))


def test_where_training_has_recordings_so_has_validation(cache):
    config = CONFIG.model_copy(update={"augment": AugmentConfig(**HISS), "epochs": 24})
    results = [r for r in fit(config, *datasets(cache), device=CPU) if r.valid_accuracy is not None]
    assert max(r.valid_accuracy for r in results) > 0.95
    assert all(r.recorded_accuracy < 0.8 for r in results)  # hiss and nothing else: two genres are told apart by chance
    assert all(r.recorded_log_loss > 0.5 for r in results)
    by_both = min(results, key=lambda r: r.valid_log_loss + r.recorded_log_loss)
    assert [r for r in results if r.model is not None][-1] is by_both
    assert {r.recorded_log_loss for r in run_all(cache, epochs=2)} == {None}


def test_the_imitated_recordings_are_always_the_same_pieces_of_12_s(cache):
    spec = FeatureSpec(**{**SPEC.model_dump(), "hop_length": 4 * SPEC.hop_length, "segment_seconds": 4.0})
    config = CONFIG.model_copy(update={"augment": AugmentConfig(**HISS), "spec": spec})
    valid = replace(datasets(cache)[1], spec=spec)
    features, owners = validation.recorded_features(config, valid)
    again, _ = validation.recorded_features(config.model_copy(update={"seed": 7}), valid)
    assert torch.equal(features, again)
    n_frames = round(12.0 * spec.sample_rate / spec.hop_length)
    assert n_frames < 120
    counted = torch.bincount(owners).tolist()
    assert counted == [len(segment_start_frames(n_frames, spec))] * 12


def test_a_stop_is_heeded_while_recordings_are_imitated(cache):
    config = CONFIG.model_copy(update={"augment": AugmentConfig(**HISS)})
    asked = itertools.count(1)
    with pytest.raises(StoppedError):
        validation.recorded_features(config, datasets(cache)[1], Monitor(should_stop=lambda: next(asked) == 3))
    assert next(asked) == 4  # the third of twelve tracks, and no later one


def test_takes_are_cut_from_the_middle_and_recorded_each_by_itself(cache):
    _, valid = datasets(cache)
    heard = []
    takes = valid.takes(100, lambda db: heard.append(db) or db + len(heard))
    assert takes.track_ids == valid.track_ids
    assert takes.lengths.tolist() == [100] * 12
    for number, (start, at) in enumerate(zip(valid.offsets.tolist(), takes.offsets.tolist(), strict=True), 1):
        torch.testing.assert_close(takes.columns[at : at + 100], valid.columns[start + 10 : start + 110] + number)
    assert torch.equal(valid.takes(500, lambda db: db).columns, valid.columns)
