"""What is stored of a track: columns, summaries, digests."""

from __future__ import annotations

import numpy as np
import pytest
import soundfile
import torch

from genre_app.audio import load_clip
from genre_app.data.cache import rows
from genre_app.data.cache.row_file import RowFile
from genre_app.data.cache.rows import read_rows
from genre_app.features import FeatureSpec, extract
from genre_app.progress import QUIET
from tests.conftest import synthesise
from tests.data.cache.prepare.conftest import SPEC, write


@pytest.mark.parametrize("chunk", [1 << 20, 1 << 13])
@pytest.mark.parametrize(
    "spec",
    [
        SPEC,
        FeatureSpec(hop_length=512, n_mels=128),
        FeatureSpec(n_fft=512, hop_length=1200, n_mels=16, sample_rate=16000, fmax=8000),  # gaps between frames
        FeatureSpec(kind="mfcc", top_db=60, db_reference="max", n_mels=40),
    ],
    ids=["default", "fine", "gaps", "mfcc"],
)
def test_columns_are_those_of_extract(tmp_path, monkeypatch, spec, chunk):
    monkeypatch.setattr(rows, "_CHUNK_SPECTRUM", chunk)
    path = write(tmp_path / "a.wav", 9.3, rate=44100)
    values = read_rows(path, "a", spec, QUIET).values
    samples = load_clip(path, sample_rate=spec.sample_rate).samples
    bare = spec.model_copy(update={"kind": "log_mel", "db_reference": "one", "top_db": 80.0})
    expected = extract(torch.from_numpy(samples)[None], bare)[0].T.numpy()
    assert values.dtype == np.float16
    assert values.shape == expected.shape
    np.testing.assert_allclose(values.astype(np.float32), expected, rtol=2**-11, atol=1e-3)


def test_the_floor_lies_under_the_tracks_maximum_and_not_the_chunks(tmp_path, monkeypatch):
    monkeypatch.setattr(rows, "_CHUNK_SPECTRUM", 1 << 13)
    samples = synthesise(6.0)
    samples[: 3 * 22050] *= 1e-4
    soundfile.write(tmp_path / "a.wav", samples, 22050, subtype="FLOAT")
    values = read_rows(tmp_path / "a.wav", "a", SPEC, QUIET).values.astype(np.float32)
    assert values.max() - values.min() == pytest.approx(80, abs=0.05)
    assert (values[:20] == values.min()).mean() > 0.3


def test_the_digest_tells_samples_and_not_containers(tmp_path):
    samples = np.round(synthesise(2.0) * 20000).astype(np.int16)
    paths = [tmp_path / name for name in ("a.wav", "b.flac", "c.aiff")]
    for path in paths:
        soundfile.write(path, samples, 22050)
    samples[1000] += 1
    soundfile.write(tmp_path / "d.wav", samples, 22050)
    digests = [read_rows(path, "x", SPEC, QUIET).content for path in [*paths, tmp_path / "d.wav"]]
    assert len(set(digests[:3])) == 1
    assert digests[3] != digests[0]


def test_summaries_are_those_of_the_segments(tmp_path):
    spec = FeatureSpec(kind="summary", hop_length=1024, segment_seconds=1.0, segment_hop_seconds=1.0)
    path = write(tmp_path / "a.wav", 2.6)
    values = read_rows(path, "a", spec, QUIET).values
    samples = load_clip(path).samples
    assert values.shape == (3, 58)
    assert values.dtype == np.float32
    first = extract(torch.from_numpy(samples[: spec.segment_samples])[None], spec)[0, :, 0]
    np.testing.assert_allclose(values[0], first.numpy(), rtol=1e-4, atol=1e-4)


def test_a_growing_array_is_an_array_at_each_end(tmp_path):
    path = tmp_path / "a.npy"
    for n, kept in ((3, 0), (2, 3), (0, 5)):
        with RowFile(path, 4, "<f2") as file:
            assert file.n_rows == kept
            assert file.append(np.full((n, 4), kept)) == kept
        values = np.load(path, mmap_mode="r")
        assert values.shape == (kept + n, 4)
        assert values.dtype == np.float16
    assert values[:, 0].tolist() == [0, 0, 0, 3, 3]
    with path.open("ab") as raw:
        raw.write(b"abc")  # of a row that was cut off
    with RowFile(path, 4, "<f2") as file:
        assert file.n_rows == 5


# The cache
