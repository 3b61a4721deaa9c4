"""Summary features against librosa's own functions, and in a checkpoint."""

from __future__ import annotations

import subprocess
import sys

import librosa
import numpy as np
import pytest
import torch
from pydantic import ValidationError

from genre_app.audio import Clip
from genre_app.audio.synth import music
from genre_app.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from genre_app.features import SUMMARY_NAMES, FeatureSpec, cut_columns, extract, finish, split
from genre_app.models import GenreModel, create_model
from genre_app.models.base import _MODELS, ModelSettings, register
from genre_app.predict import classify

SPEC = FeatureSpec(kind="summary", hop_length=512, segment_seconds=3.0, segment_hop_seconds=3.0)
GENRES = ("blues", "disco", "reggae")


@pytest.fixture(scope="module")
def samples():
    return music("reggae", 3.0, seed=4)


def reference(samples: np.ndarray) -> dict[str, float]:
    """Return mean and variance of the results of librosa's functions with their defaults."""
    harmonic, percussive = librosa.effects.hpss(samples)
    features = {
        "chroma_stft": librosa.feature.chroma_stft(y=samples),
        "rms": librosa.feature.rms(y=samples),
        "spectral_centroid": librosa.feature.spectral_centroid(y=samples),
        "spectral_bandwidth": librosa.feature.spectral_bandwidth(y=samples),
        "rolloff": librosa.feature.spectral_rolloff(y=samples),
        "zero_crossing_rate": librosa.feature.zero_crossing_rate(samples),
        "harmony": harmonic,
        "perceptr": percussive,
    }
    features |= {f"mfcc{index}": row for index, row in enumerate(librosa.feature.mfcc(y=samples), 1)}
    found = {f"{name}_{part}": getattr(values, part)() for name, values in features.items() for part in ("mean", "var")}
    found["tempo_mean"] = librosa.feature.tempo(y=samples)[0]
    found["tempo_var"] = librosa.feature.tempo(y=samples, aggregate=None).var()
    return found


def test_there_are_58_names_in_the_order_of_the_gtzan_table():
    assert len(SUMMARY_NAMES) == len(set(SUMMARY_NAMES)) == SPEC.n_bins == 58
    assert SPEC.input_frames == 1
    assert SUMMARY_NAMES[:4] == ("chroma_stft_mean", "chroma_stft_var", "rms_mean", "rms_var")
    assert SUMMARY_NAMES[14:20] == ("perceptr_mean", "perceptr_var", "tempo_mean", "tempo_var", "mfcc1_mean", "mfcc1_var")
    assert SUMMARY_NAMES[-1] == "mfcc20_var"


@pytest.mark.parametrize("style", ["reggae", "classical"])
def test_extract_equals_librosa(style):
    samples = music(style, 3.0, seed=4)
    found = extract(torch.from_numpy(samples)[None], SPEC)
    assert found.dtype == torch.float32
    assert found.shape == (1, 58, 1)
    expected = reference(samples)
    assert set(expected) == set(SUMMARY_NAMES)
    for name, value in zip(SUMMARY_NAMES, found[0, :, 0].tolist(), strict=True):
        # The mean of a signal without offset is only rounding error.
        assert value == pytest.approx(expected[name], rel=1e-3, abs=1e-6), name


def test_a_change_of_tempo_shows_in_the_variance_of_the_tempo():
    rate = SPEC.sample_rate
    time = np.arange(12 * rate) / rate
    period = np.where(time < 6, 0.5, 0.4)  # 120, then 150 beats per minute
    beats = (np.sin(2 * np.pi * 300 * time) * np.exp(-20 * (time % period))).astype(np.float32)
    steady, changing = extract(torch.from_numpy(np.stack([np.tile(beats[: 3 * rate], 4), beats])), SPEC)
    at = SUMMARY_NAMES.index("tempo_mean")
    assert steady[at].item() == pytest.approx(120, rel=0.04)
    assert steady[at + 1].item() == 0.0
    assert changing[at + 1].item() > 50.0


def test_a_batch_equals_its_singles_and_context_is_left_out(samples):
    clip = np.concatenate([samples, samples[::-1], samples[::2]])
    (segments,) = split([clip], SPEC)
    assert len(segments.start_frames) > 2
    batch = torch.from_numpy(segments.samples)
    found = extract(batch, SPEC, padded=True)
    half = SPEC.n_fft // 2
    bare = batch[:, half:-half].contiguous()
    assert bare.shape[1] == SPEC.segment_samples
    torch.testing.assert_close(found, torch.cat([extract(one[None], SPEC) for one in bare]), rtol=0, atol=0)


def test_silence_is_finite():
    assert extract(torch.zeros(1, 3 * 22050), SPEC).isfinite().all()
    assert extract(torch.full((1, 3 * 22050), 0.1), SPEC).isfinite().all()  # silence of a sound card with a constant offset


def test_a_summary_cannot_be_computed_from_a_log_mel_spectrogram():
    for refused in (lambda: cut_columns(np.zeros((300, 128)), [0], SPEC), lambda: finish(torch.zeros(1, 128, 130), SPEC)):
        with pytest.raises(ValueError, match="computed from audio, not from log-mel columns"):
            refused()


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"n_mfcc": 13}, "20 MFCC"),
        ({"segment_seconds": 0.1, "n_fft": 4096}, "n_fft"),
        ({"n_fft": 512}, "n_fft"),
        ({"n_mels": 16}, "cannot exceed n_mels"),
    ],
)
def test_a_summary_that_cannot_be_computed_is_refused(fields, message):
    with pytest.raises(ValidationError, match=message):
        FeatureSpec(**{"kind": "summary", "hop_length": 512, **fields})


def test_the_least_spec_can_be_computed():
    spec = FeatureSpec(
        kind="summary", sample_rate=4000, fmax=2000, n_fft=64, hop_length=32, n_mels=20, segment_seconds=0.1
    )  # fmt: skip
    random = torch.randn(2, spec.segment_samples, generator=torch.Generator().manual_seed(0))
    assert extract(random, spec).isfinite().all()


@pytest.fixture
def linear_model():
    """A network of one matrix, registered while the test runs."""

    @register("linear for a test")
    class Linear(GenreModel):
        def __init__(self, n_bins: int, n_frames: int, n_genres: int, settings: ModelSettings) -> None:
            super().__init__(n_bins, n_frames, n_genres, settings)
            self.head = torch.nn.Linear(n_bins * n_frames, n_genres)

        def logits(self, features: torch.Tensor) -> torch.Tensor:
            return self.head(self.standardise(features).flatten(1))

    yield Linear.name
    del _MODELS[Linear.name]


def test_a_checkpoint_of_summaries_classifies_a_clip(linear_model, samples, tmp_path):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        model = create_model(linear_model, n_bins=58, n_frames=SPEC.input_frames, n_genres=3)
    clip = Clip(np.concatenate([samples, music("disco", 7.0)]), 22050)
    by_hand = [extract(torch.from_numpy(s.samples), SPEC, padded=True) for s in split(clip.blocks(), SPEC)]
    features = torch.cat(by_hand)
    model.fit_standardisation(features)
    path = tmp_path / "summary.safetensors"
    save_checkpoint(Checkpoint.single(model.eval(), SPEC, GENRES), path)
    prediction = classify(clip, load_checkpoint(path))
    expected = torch.softmax(model(features), dim=1).detach().numpy()
    np.testing.assert_allclose(prediction.segment_probabilities, expected, atol=1e-5)
    assert prediction.segment_starts.tolist() == pytest.approx([0.0, 2.995, 5.991, 7.0], abs=0.02)
    overlapping = classify(clip, load_checkpoint(path), overlap=0.5)
    np.testing.assert_allclose(overlapping.segment_probabilities[0], expected[0], atol=1e-5)
    assert len(overlapping.segment_starts) == 6


def test_importing_the_features_does_not_load_librosa():
    code = "import genre_app.features, sys; assert 'numba' not in sys.modules and 'scipy.signal' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
