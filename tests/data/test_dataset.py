"""The data set of log-mel columns: segments drawn from it, cut from it, and tracks put beside its own."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from genre_app.data.cache.mel_cache import MelCache
from genre_app.data.dataset import MelDataset
from genre_app.errors import DataError
from genre_app.features import cut_columns, segment_start_frames
from tests.data.cache.test_mel_cache import SPEC, write_cache


@pytest.fixture
def folder(tmp_path):
    return write_cache(tmp_path / "cache")


@pytest.fixture
def dataset(folder):
    cache = MelCache.open(folder)
    return MelDataset.from_cache(cache, cache.tracks, ["a", "b"], SPEC, torch.device("cpu"))


def test_a_drawn_segment_is_consecutive_columns_of_its_track(dataset):
    tracks = torch.tensor([0, 3, 5, 3] * 50)
    drawn = dataset.draw(tracks, torch.ones(200), torch.Generator().manual_seed(0))
    assert drawn.shape == (200, 16, SPEC.segment_frames)
    starts = (drawn[:, 0, 0] - (-40.0 + tracks)) * -4
    assert (starts.round() - starts).abs().max() < 0.1
    assert starts.min() < 1  # both ends of a track are reached
    assert starts.max() > 40 - SPEC.segment_frames - 1
    steps = drawn.diff(dim=2)
    torch.testing.assert_close(steps, torch.full_like(steps, -0.25), atol=0.04, rtol=0)


@pytest.mark.parametrize("rate", [0.8, 1.25])
def test_tempo_scales_the_time_axis(dataset, rate):
    tracks = torch.arange(6)
    drawn = dataset.draw(tracks, torch.full((6,), rate), torch.Generator().manual_seed(0))
    assert drawn.diff(dim=2).mean() == pytest.approx(-0.25 * rate, abs=0.01)


def test_drawing_repeats_with_the_seed(dataset):
    first, again, other = (
        dataset.draw(torch.arange(6), torch.ones(6), torch.Generator().manual_seed(seed)) for seed in (1, 1, 2)
    )
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_segments_are_those_of_prediction(dataset, folder):
    features, owners = dataset.segments()
    cache = MelCache.open(folder)
    for index, track in enumerate(cache.tracks):
        rows = cache.rows(track)
        expected = cut_columns(rows, segment_start_frames(len(rows), SPEC), SPEC)
        torch.testing.assert_close(features[owners == index], expected)


def test_no_track_and_an_unknown_genre_are_refused(folder):
    cache = MelCache.open(folder)
    with pytest.raises(DataError, match="no track for this split"):
        MelDataset.from_cache(cache, [], ["a", "b"], SPEC, torch.device("cpu"))
    with pytest.raises(DataError, match="tracks of b, which is not among a, c"):
        MelDataset.from_cache(cache, cache.tracks, ["a", "c"], SPEC, torch.device("cpu"))


def test_tracks_beside_are_drawn_as_from_one_array_without_a_copy(dataset):
    """Changed tracks may be longer or shorter, or too short for a segment."""
    random = np.random.default_rng(0)
    changed = [random.normal(-40, 10, (length, 16)).astype(np.float16) for length in (40, 35, 50, 7, 40, 41)]
    both = dataset.beside(changed)
    assert both.columns.data_ptr() == dataset.columns.data_ptr()
    rows = torch.cat([dataset.columns, torch.from_numpy(np.concatenate(changed)).float()])
    copied = replace(both, columns=rows, added=None)
    tracks = torch.arange(12).repeat(20)
    for rates in (torch.ones(240), torch.linspace(0.8, 1.25, 240)):
        drawn, expected = (each.draw(tracks, rates, torch.Generator().manual_seed(1)) for each in (both, copied))
        assert torch.equal(drawn, expected)
    for found, expected in zip(both.segments(), copied.segments(), strict=True):
        assert torch.equal(found, expected)
    found, expected = (each.takes(20, lambda db: db + 1) for each in (both, copied))
    assert torch.equal(found.columns, expected.columns)
