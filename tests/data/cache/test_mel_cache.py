"""The mel cache and the data set drawn from it."""

from __future__ import annotations

import csv
import io
import json

import numpy as np
import pytest

from genre_app.data.cache.mel_cache import MelCache
from genre_app.errors import DataError
from genre_app.features import COLUMN_FIELDS, FeatureSpec

SPEC = FeatureSpec(n_mels=16, segment_seconds=1.0, segment_hop_seconds=0.5)


def write_cache(folder, n_tracks=6, n_frames=40, spec=SPEC):
    """Write a cache whose value at (track, frame, band) tells which it is."""
    folder.mkdir(exist_ok=True)
    stated = {"kind": "log_mel"} | {name: getattr(spec, name) for name in COLUMN_FIELDS}
    (folder / "spec.json").write_text(json.dumps(stated))
    with (folder / "index.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["track_id", "genre", "split", "offset", "n_frames"])
        for i in range(n_tracks):
            row = [f"t{i}", "ab"[i % 2], "valid" if i >= n_tracks - 2 else "train", i * n_frames, n_frames]
            writer.writerow(row)
    track, frame, band = np.meshgrid(range(n_tracks), range(n_frames), range(spec.n_mels), indexing="ij")
    values = -40.0 + track - frame / 4 + band / 8
    np.save(folder / "log_mel.npy", values.reshape(-1, spec.n_mels).astype(np.float16))
    return folder


@pytest.fixture
def folder(tmp_path):
    return write_cache(tmp_path / "cache")


def test_a_cache_is_read_as_written(folder):
    cache = MelCache.open(folder)
    assert cache.spec.n_mels == 16
    assert [track.track_id for track in cache.tracks] == [f"t{i}" for i in range(6)]
    columns = cache.rows(cache.tracks[2])
    assert columns.dtype == np.float32
    assert columns.shape == (40, 16)
    assert columns[4, 8] == pytest.approx(-40 + 2 - 1 + 1, abs=0.02)


def damage(folder, name, change):
    path = folder / name
    path.write_text(change(path.read_text()))


DAMAGES = {
    "no index": (lambda f: (f / "index.csv").unlink(), "has no index.csv"),
    "spec not JSON": (lambda f: (f / "spec.json").write_text("{"), "spec.json cannot be used"),
    "spec too deep": (lambda f: (f / "spec.json").write_text("[" * 100_000), "spec.json cannot be used"),
    "spec a list": (lambda f: (f / "spec.json").write_text("[]"), "spec.json cannot be used"),
    "spec lacks a field": (lambda f: damage(f, "spec.json", lambda t: t.replace("hop_length", "hop")), "lacks hop_length"),
    "spec of MFCC": (lambda f: damage(f, "spec.json", lambda t: t.replace("log_mel", "mfcc")), "kind is 'mfcc'"),
    "other width": (lambda f: np.save(f / "log_mel.npy", np.zeros((240, 8), np.float16)), r"\(240, 8\)"),
    "integers": (lambda f: np.save(f / "log_mel.npy", np.zeros((240, 16), int)), "int64"),
    "cut off": (lambda f: np.save(f / "log_mel.npy", np.zeros((239, 16), np.float16)), "t5 ends at row 240"),
    "pickled": (lambda f: np.save(f / "log_mel.npy", np.array([{}] * 3), allow_pickle=True), "cannot be read"),
    "not an array": (lambda f: (f / "log_mel.npy").write_bytes(b"RIFF"), "cannot be read"),
    "a name twice": (lambda f: damage(f, "index.csv", lambda t: t.replace("t1,", "t0,")), "names t0 more than once"),
    "words for numbers": (lambda f: damage(f, "index.csv", lambda t: t.replace("train,0,40", "train,0,many")), "n_frames"),
    "negative offset": (lambda f: damage(f, "index.csv", lambda t: t.replace(",40,", ",-40,", 1)), "t1"),
    "no genre": (lambda f: damage(f, "index.csv", lambda t: t.replace("t0,a", "t0,")), "t0"),
    "no track": (lambda f: damage(f, "index.csv", lambda t: t.splitlines()[0] + "\n"), "lists no track"),
}  # fmt: skip


def array_of(text: str) -> bytes:
    """An array's file with a header of these letters."""
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text.encode() + bytes(512)


def shape_of(text: str) -> bytes:
    return array_of(f"{{'descr': '<f2', 'fortran_order': False, 'shape': {text}, }}\n")


def npz() -> bytes:
    buffer = io.BytesIO()
    np.savez(buffer, log_mel=np.zeros((240, 16), np.float16))
    return buffer.getvalue()


ARRAYS = {
    "beyond all bounds": shape_of(f"({2**70}, 16)"),
    "as long as nothing after all bounds": shape_of(f"({2**59}, 16)"),
    "fewer than none": shape_of("(-5, 16)"),
    "no number": shape_of("(True, 16)"),
    "half a number": shape_of("(1.5, 16)"),
    "nested deeply": shape_of("(1, " * 2000),
    "signs": shape_of("-" * 5000 + "1"),
    "longer than the file": shape_of("(240, 16)"),
    "torn": array_of("{'descr': '<f2', 'fortran_or"),
    "indented": array_of("\n  x\n y"),
    "of no syntax": array_of("{'descr': ',f2', 'fortran_order': False, 'shape': (1, 16), }\n"),
    "of a type of nothing": array_of("{'descr': ('|V5',), 'fortran_order': False, 'shape': (1, 16), }\n"),
    "no header": b"\x93NUMPY\x01\x00",
    "a zip's first letters": b"PK\x03\x04" + bytes(100),
    "several arrays": npz(),
    "empty": b"",
}


@pytest.mark.parametrize("case", ARRAYS)
def test_an_array_that_is_none_is_one_sentence(folder, case):
    (folder / "log_mel.npy").write_bytes(ARRAYS[case])
    with pytest.raises(DataError, match=r"log_mel\.npy cannot be read: .+; make the cache again\.$") as caught:
        MelCache.open(folder)
    assert str(caught.value).isprintable()


@pytest.mark.parametrize("case", DAMAGES)
def test_damage_is_named(folder, case):
    spoil, message = DAMAGES[case]
    spoil(folder)
    with pytest.raises(DataError, match=message):
        MelCache.open(folder)


def test_values_that_are_not_finite_are_refused(folder):
    values = np.load(folder / "log_mel.npy")
    values[50, 3] = np.nan
    np.save(folder / "log_mel.npy", values)
    cache = MelCache.open(folder)
    assert cache.rows(cache.tracks[0]).shape == (40, 16)
    with pytest.raises(DataError, match="t1 has values that are not finite"):
        cache.rows(cache.tracks[1])
