"""Explanations point to what a network looks at."""

from __future__ import annotations

from dataclasses import replace
from weakref import WeakSet

import librosa
import numpy as np
import pytest
import torch
from torch import Tensor

from genre_app.audio import Clip
from genre_app.checkpoint import Checkpoint, Member
from genre_app.explain import Grid, explain, occlusion
from genre_app.features import FeatureSpec
from genre_app.models import create_model
from genre_app.models.base import GenreModel, ModelSettings
from genre_app.predict import NoSoundError

RATE = 22050
SPEC = FeatureSpec(segment_seconds=3.0, segment_hop_seconds=1.5)


class OneBand(GenreModel):
    """The genre "loud" is as probable as the band of these mel rows is loud."""

    def __init__(self, spec: FeatureSpec, rows: slice) -> None:
        super().__init__(spec.n_bins, spec.input_frames, 2, ModelSettings())
        self.rows = rows

    def logits(self, features: Tensor) -> Tensor:
        # Processors add float32 in different orders.
        level = features[:, self.rows].double().mean(dim=(1, 2)) / 20.0
        return torch.stack([level, torch.zeros_like(level)], dim=1)


def one_band(spec: FeatureSpec = SPEC, rows: slice = slice(40, 50)) -> Checkpoint:
    return Checkpoint.single(OneBand(spec, rows), spec, ("loud", "other"))


def noise(seconds: float, rate: int = RATE) -> np.ndarray:
    return np.random.default_rng(0).normal(0, 0.1, round(seconds * rate)).astype(np.float32)


def hz_of(rows: slice, spec: FeatureSpec = SPEC) -> np.ndarray:
    return librosa.mel_frequencies(spec.n_mels + 2, fmin=spec.fmin, fmax=spec.fmax)[1:-1][rows]


def test_importance_lies_in_the_only_band_that_the_network_sees():
    found = explain(Clip(noise(8.0), RATE), one_band())
    seen = np.unique(found.grid.bands_of(hz_of(slice(40, 50))))
    importance = found.of("loud")
    assert found.importance.shape == (2, *found.grid.shape) == (2, 10, 8)
    assert (importance[seen] > 0.01).all()
    np.testing.assert_allclose(np.delete(importance, seen, axis=0), 0.0, atol=1e-9)
    # Of two genres, what speaks for one speaks against the other.
    np.testing.assert_allclose(found.of("other"), -importance, atol=1e-9)
    assert found.marked("loud").any(axis=1).nonzero()[0].tolist() == seen.tolist()
    assert not found.marked("other").any()


def test_importance_lies_at_the_only_moment_that_sounds_in_this_band():
    quiet = np.full(round(10.0 * RATE), 0.0, np.float32)
    time = np.arange(len(quiet)) / RATE
    hz = float(hz_of(slice(45, 46))[0])
    tone = np.sin(2 * np.pi * hz * time).astype(np.float32) * ((time >= 6.0) & (time < 7.0))
    found = explain(Clip(0.3 * tone + 0.001 * noise(10.0), RATE), one_band())
    band, moment = np.unravel_index(found.of("loud").argmax(), found.grid.shape)
    assert found.grid.bands_hz[band] <= hz < found.grid.bands_hz[band + 1]
    assert moment == 6
    assert found.marked("loud", share=0.01).sum() == 1


def test_members_of_other_rates_are_weighted():
    other = SPEC.model_copy(update={"sample_rate": 16000, "fmax": 8000.0, "segment_seconds": 1.5})
    low, high = slice(10, 15), slice(100, 110)
    both = Checkpoint((Member(OneBand(SPEC, low), SPEC, 0.75), Member(OneBand(other, high), other, 0.25)), ("loud", "other"))
    clip = Clip(noise(6.0), RATE)
    found = explain(clip, both)
    alone = explain(clip, one_band(SPEC, low))
    first = np.unique(found.grid.bands_of(hz_of(low)))
    second = np.unique(found.grid.bands_of(hz_of(high, other)))
    np.testing.assert_allclose(found.of("loud")[first], 0.75 * alone.of("loud")[first], atol=1e-9)
    assert (found.of("loud")[second] > 0).all()
    assert set(found.marked("loud").any(axis=1).nonzero()[0]) <= {*first, *second}


def test_the_segments_of_a_long_clip_are_not_in_memory_all_at_once(monkeypatch):
    alive: WeakSet[object] = WeakSet()
    counts = []

    class Counted(occlusion._Batch):
        def __init__(self, *arguments: object) -> None:
            super().__init__(*arguments)  # type: ignore[arg-type]
            alive.add(self)
            counts.append(len(alive))

    monkeypatch.setattr(occlusion, "_Batch", Counted)
    monkeypatch.setattr(occlusion, "batch_size", lambda spec: 2)
    explain(Clip(noise(20.0), RATE), one_band())
    assert len(counts) > 5
    assert max(counts) <= 2


@pytest.mark.parametrize("seconds", [0.7, 2.0, 5.0])
def test_short_clips_are_explained(seconds):
    found = explain(Clip(noise(seconds), RATE), one_band())
    assert found.grid.times[-1] == pytest.approx(seconds, abs=1e-4)
    assert found.of("loud").max() > 0


@pytest.mark.parametrize("kind", ["mfcc", "mfcc_delta", "summary"])
def test_other_features_are_explained(kind):
    spec = FeatureSpec(kind=kind, segment_seconds=2.0, segment_hop_seconds=1.0, hop_length=512)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = create_model("mlp", n_bins=spec.n_bins, n_frames=spec.input_frames, n_genres=2).eval()
    found = explain(Clip(noise(2.0), RATE), Checkpoint.single(model, spec, ("a", "b")))
    assert np.isfinite(found.importance).all()
    assert np.abs(found.of("a")).max() > 0


def test_silence_has_nothing_to_explain():
    with pytest.raises(NoSoundError, match="nothing to explain"):
        explain(Clip(np.zeros(5 * RATE, np.float32), RATE), one_band())


def test_silent_segments_do_not_count():
    half = np.concatenate([noise(6.0), np.zeros(6 * RATE, np.float32)])
    found = explain(Clip(half, RATE), one_band())
    late = found.grid.times[:-1] >= 9.0
    assert np.abs(found.importance[:, :, late]).max() == 0


def test_another_rate_is_refused():
    with pytest.raises(ValueError, match="needs 22050 Hz"):
        explain(Clip(noise(3.0), 16000), one_band())


def test_the_work_is_bounded_whatever_overlap_a_checkpoint_names(monkeypatch):
    asked = []
    answer = Checkpoint.probabilities
    monkeypatch.setattr(
        Checkpoint,
        "probabilities",
        lambda self, features, member=0: asked.append(len(features)) or answer(self, features, member),
    )
    dense = replace(one_band().members[0], spec=SPEC.model_copy(update={"segment_hop_seconds": 0.01}))
    explain(Clip(noise(9.0), RATE), Checkpoint((dense,), ("loud", "other")))
    segments = 6  # of 3 s, half overlapping, in 9 s; the last one is right-aligned
    assert sum(asked) == segments * (1 + 10 * 3)


def test_bands_are_equally_high_on_the_spectrogram():
    grid = Grid.over(30.0, 11025.0)
    assert grid.shape == (10, 10)
    np.testing.assert_allclose(np.diff(librosa.hz_to_mel(grid.bands_hz), n=2), 0.0, atol=1e-9)
    assert Grid.over(0.5, 8000.0).shape == (10, 1)
    assert Grid.over(300.0, 8000.0).shape == (10, 100)
