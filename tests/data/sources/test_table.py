"""Feature tables: the well-known CSV, what is wrong with others, and tables as folders."""

from __future__ import annotations

import csv
import json

import numpy as np
import pytest

from genre_app.data.cache.feature_table import FeatureTable
from genre_app.data.sources.table import read_csv
from genre_app.data.tracks import CachedTrack
from genre_app.errors import DataError
from genre_app.features import SUMMARY_NAMES, FeatureSpec

# The header of features_3_sec.csv, written out: the names are not ours to choose.
HEADER = [
    "filename", "length",
    "chroma_stft_mean", "chroma_stft_var", "rms_mean", "rms_var",
    "spectral_centroid_mean", "spectral_centroid_var", "spectral_bandwidth_mean", "spectral_bandwidth_var",
    "rolloff_mean", "rolloff_var", "zero_crossing_rate_mean", "zero_crossing_rate_var",
    "harmony_mean", "harmony_var", "perceptr_mean", "perceptr_var", "tempo",
    *(f"mfcc{i}_{part}" for i in range(1, 21) for part in ("mean", "var")),
    "label",
]  # fmt: skip


def rows_of(n_tracks=4, n_pieces=3):
    """Rows whose values tell track, piece and column."""
    rows = []
    for index in range(n_tracks):
        genre = ("blues", "jazz")[index % 2]
        for piece in range(n_pieces):
            values = [1000 * index + 100 * piece + column for column in range(57)]
            rows.append([f"{genre}.{index:05d}.{piece}.wav", 66149, *values, genre])
    return rows


def write_csv(path, rows, header=HEADER):
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([header, *rows])
    return path


def test_the_well_known_csv(tmp_path):
    assert len(HEADER) == 60
    table = read_csv(write_csv(tmp_path / "features_3_sec.csv", rows_of()))
    assert [track.track_id for track in table.tracks] == ["blues.00000", "blues.00002", "jazz.00001", "jazz.00003"]
    assert [track.genre for track in table.tracks] == ["blues", "blues", "jazz", "jazz"]
    assert table.values.shape == (12, 58)
    assert table.spec is None
    rows = table.rows(table.tracks[1])
    assert rows.dtype == np.float32
    assert rows.shape == (3, 58)
    values = dict(zip(SUMMARY_NAMES, rows[2], strict=True))
    assert values["chroma_stft_mean"] == 2000 + 200 + 0
    assert values["perceptr_var"] == 2200 + 15
    assert values["tempo_mean"] == 2200 + 16
    assert values["tempo_var"] == 0
    assert values["mfcc1_mean"] == 2200 + 17
    assert values["mfcc20_var"] == 2200 + 56
    assert table.notes == ("features_3_sec.csv has one column for the tempo, so its variance is taken as 0.",)


def test_rows_in_any_order_and_columns_too(tmp_path):
    rows, order = rows_of(), np.random.default_rng(0).permutation(60)
    shuffled = [[row[at] for at in order] for row in rows[::-1]]
    path = write_csv(tmp_path / "a.csv", shuffled, [HEADER[at] for at in order])
    table = read_csv(path)
    assert table.rows(table.tracks[1])[:, 0].tolist() == [2200, 2100, 2000]


def test_whole_tracks_and_other_names(tmp_path):
    rows = rows_of(4, 1)
    for row, name in zip(rows, ["blues.00000.wav", "my song.wav", "sub\\other.12.mp3", "other.13.wav"], strict=True):
        row[0], row[-1] = name, "x"
    table = read_csv(write_csv(tmp_path / "a.csv", rows))
    assert [(track.track_id, track.n_frames) for track in table.tracks] == [("blues.00000", 1), ("my song", 1), ("other", 2)]


def test_a_table_with_all_58_needs_no_note(tmp_path):
    header = ["filename", *SUMMARY_NAMES, "label"]
    table = read_csv(write_csv(tmp_path / "a.csv", [["a.wav", *range(58), "x"]], header))
    assert table.values[0].tolist() == list(range(58))
    assert table.notes == ()


def test_pieces_are_rows(tmp_path):
    table = read_csv(write_csv(tmp_path / "a.csv", rows_of())).pieces()
    assert len(table.tracks) == 12
    assert table.tracks[4].track_id == "blues.00002#1"
    assert table.rows(table.tracks[4])[:, 0].tolist() == [2100]


def spoil(row, column, value):
    def change(rows, header):
        rows[row][header.index(column)] = value

    return change


BAD = {
    "a column is gone": (lambda rows, header: header.__setitem__(5, "x"), "no column rms_var"),
    "many are gone": (lambda rows, header: header.__setitem__(slice(2, 12), "x" * 10), "rms_mean, .* and 5 more"),
    "no label": (lambda rows, header: header.__setitem__(-1, "genre"), "no column label"),
    "a word": (spoil(3, "rms_mean", "loud"), "line 5: rms_mean is 'loud', which is not a finite number"),
    "nothing": (spoil(0, "rms_mean", ""), "line 2: rms_mean is ''"),
    "not a number": (spoil(0, "mfcc3_var", "nan"), "line 2: mfcc3_var is 'nan'"),
    "too large": (spoil(0, "mfcc3_var", "1e60"), "line 2: mfcc3_var is '1e60'"),
    "no genre": (spoil(1, "label", " "), "line 3: there is no filename or no label"),
    "no name": (spoil(1, "filename", ""), "line 3: there is no filename or no label"),
    "two genres": (spoil(1, "label", "jazz"), "line 3: blues.00000 is jazz here and blues above"),
    "a short line": (lambda rows, header: rows[2].pop(), "line 4: 59 values for 60 columns"),
    "no rows": (lambda rows, header: rows.clear(), "has a header but no rows"),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD)
def test_a_bad_csv_is_named(tmp_path, case):
    change, message = BAD[case]
    rows, header = rows_of(), list(HEADER)
    change(rows, header)
    with pytest.raises(DataError, match=message) as caught:
        read_csv(write_csv(tmp_path / "a.csv", rows, header))
    assert str(tmp_path / "a.csv") in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("content", [b"", b"\xff\xfe\0\1", b"a,b\n1,2\n", b"filename,label\n"])
def test_what_is_no_table_is_named(tmp_path, content):
    (tmp_path / "a.csv").write_bytes(content)
    with pytest.raises(DataError, match=r"a\.csv (is no feature table|cannot be read as CSV)"):
        read_csv(tmp_path / "a.csv")


def test_a_missing_csv_is_named(tmp_path):
    with pytest.raises(DataError, match=r"no file .*none\.csv"):
        read_csv(tmp_path / "none.csv")


# Folders


@pytest.fixture
def folder(tmp_path):
    spec = FeatureSpec(kind="summary", hop_length=512)
    (tmp_path / "spec.json").write_text(spec.model_dump_json())
    (tmp_path / "index.csv").write_text("track_id,genre,split,offset,n_frames\na,x,train,0,2\nb,y,valid,2,1\n")
    np.save(tmp_path / "values.npy", np.arange(3 * 58, dtype=np.float32).reshape(3, 58))
    return tmp_path


def test_a_folder_is_opened(folder):
    assert FeatureTable.is_cache(folder)
    table = FeatureTable.open(folder)
    assert table.spec == FeatureSpec(kind="summary", hop_length=512)
    assert table.tracks[1] == CachedTrack(track_id="b", genre="y", split="valid", offset=2, n_frames=1)
    assert table.rows(table.tracks[1])[0, 0] == 116


def test_a_damaged_folder_is_named(folder):
    good = np.load(folder / "values.npy")
    np.save(folder / "values.npy", good[:, :57])
    with pytest.raises(DataError, match=r"\(3, 57\), not float32 \[rows, 58\]"):
        FeatureTable.open(folder)
    np.save(folder / "values.npy", good[:2])
    with pytest.raises(DataError, match="b ends at row 3"):
        FeatureTable.open(folder)
    good[0, 5] = np.inf
    np.save(folder / "values.npy", good)
    table = FeatureTable.open(folder)
    with pytest.raises(DataError, match="a has values that are not finite"):
        table.rows(table.tracks[0])
    (folder / "spec.json").write_text(json.dumps({"kind": "log_mel"}))
    with pytest.raises(DataError, match="its kind is 'log_mel'"):
        FeatureTable.open(folder)
    (folder / "spec.json").unlink()
    with pytest.raises(DataError, match=r"it has no spec\.json"):
        FeatureTable.open(folder)
