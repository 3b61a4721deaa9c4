"""Data sets of the hub without a network: tiny parquet files, and a download that is replaced."""

from __future__ import annotations

import io
import shutil
from pathlib import Path

import numpy as np
import psutil
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import soundfile

from genre_app.data.sources import hub
from genre_app.data.sources.folder import AudioFolder
from genre_app.data.sources.gtzan import gtzan_name
from genre_app.data.sources.hub import fetch, repository_of
from genre_app.errors import DataError
from genre_app.progress import Monitor, StoppedError
from tests.conftest import synthesise
from tests.data.sources.parquet import rows, table, wav, without_mark


@pytest.fixture
def served(tmp_path, monkeypatch):
    """A hub that serves the files of a folder, and the log of what it was asked."""

    class Served:
        folder = tmp_path / "served"
        asked: list[str] = []  # noqa: RUF012
        revision = "abc123"

        def put(self, name, content):
            path = self.folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            pq.write_table(content, path, row_group_size=2)

    server = Served()
    server.asked = []

    def list_files(repository, revision):
        server.asked.append(f"list {repository} {revision}")
        files = sorted(path.relative_to(server.folder).as_posix() for path in server.folder.rglob("*.parquet"))
        remote = tuple(hub.RemoteFile(name, (server.folder / name).stat().st_size) for name in files)
        return hub.Listing(repository, revision or server.revision, remote)

    def download(listing, file, folder, meter):
        server.asked.append(f"get {file.name}")
        target = folder / file.name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(server.folder / file.name, target)
        meter.advance_bytes(file.size)
        return target

    monkeypatch.setattr(hub, "list_files", list_files)
    monkeypatch.setattr(hub, "download", download)
    return server


@pytest.fixture
def gtzan(served):
    served.put("data/train-00000-of-00002.parquet", table(rows(["blues.00029.wav", "classical.00030.wav", "blues.00030.wav"])))
    served.put("data/train-00001-of-00002.parquet", table(rows(["blues.00031.wav"], 10)))
    served.put("data/validation-00000-of-00001.parquet", table(rows(["blues.00000.wav", "classical.00000.wav"], 20)))
    served.put("data/test-00000-of-00001.parquet", table(rows(["blues.00012.wav"], 30)))
    return served


def test_rows_become_audio_files_by_split_and_genre(gtzan, tmp_path):
    moments = []
    folder = fetch("confit/gtzan", tmp_path / "work", monitor=Monitor(moments.append))
    found = AudioFolder.find(folder)
    assert {(without_mark(track.track_id), track.genre, track.split) for track in found.tracks} == {
        ("train/blues/blues.00029.wav", "blues", "train"),
        ("train/blues/blues.00030.wav", "blues", "train"),
        ("train/blues/blues.00031.wav", "blues", "train"),
        ("train/classical/classical.00030.wav", "classical", "train"),
        ("valid/blues/blues.00000.wav", "blues", "valid"),
        ("valid/classical/classical.00000.wav", "classical", "valid"),
        ("test/blues/blues.00012.wav", "blues", "test"),
    }
    assert next(folder.glob("train/blues/blues.00030.*")).read_bytes() == wav(2)
    assert (folder / "test/blues/blues.00012.wav").read_bytes() == wav(30)  # alone in its split, so it keeps its name
    assert gtzan_name(next(track.track_id for track in found.tracks if track.split == "train")) == "blues.00029"
    assert {moment.stage for moment in moments} == {"downloading MB", "writing tracks"}
    assert not list((tmp_path / "work").rglob("*.parquet"))
    assert not list((tmp_path / "work").rglob("*.part"))


def test_equal_names_in_several_parquet_files_are_kept_apart(served, tmp_path):
    """As numbered from 0 in each: of the same size, of another, and one that looks like what tells equal names apart."""
    expected = []
    for shard, file in enumerate(("a/train-0", "b/train-0", "a/train-1", "test-0")):
        seeds = range(10 * shard, 10 * shard + 4)
        sounds = [wav(seed, 0.6 + shard // 2 / 10) for seed in seeds]
        names = ["0.wav", "0-000002.wav", "0.wav", "1.wav"]
        content = [({"bytes": sound, "path": name}, 0) for sound, name in zip(sounds, names, strict=True)]
        served.put(f"{file}.parquet", table(content))
        expected += sounds
    stopped = []
    with pytest.raises(StoppedError):
        fetch("someone/music", tmp_path / "work", monitor=Monitor(should_stop=lambda: stopped.append(1) or len(stopped) == 12))
    folder = fetch("someone/music", tmp_path / "work")
    assert sorted(path.read_bytes() for path in folder.rglob("*.wav")) == sorted(expected)


def test_what_is_complete_is_used_without_the_hub(gtzan, tmp_path, monkeypatch):
    folder = fetch("confit/gtzan", tmp_path / "work")
    gtzan.asked.clear()
    assert fetch("confit/gtzan", tmp_path / "work") == folder
    assert gtzan.asked == []


def test_a_stopped_fetch_goes_on_where_it_was(gtzan, tmp_path):
    written = []

    def stop():
        written[:] = list((tmp_path / "work").rglob("*.wav"))
        return len(written) == 5  # within the second parquet file

    with pytest.raises(StoppedError):
        fetch("confit/gtzan", tmp_path / "work", monitor=Monitor(should_stop=stop))
    times = {path: path.stat().st_mtime_ns for path in written}
    first = [entry for entry in gtzan.asked if entry.startswith("get")]
    gtzan.asked.clear()
    gtzan.revision = "newer"  # the one that was begun is finished
    folder = fetch("confit/gtzan", tmp_path / "work")
    assert gtzan.asked[0] == "list confit/gtzan abc123"
    assert not set(first[:-1]) & set(gtzan.asked)
    assert len(AudioFolder.find(folder).tracks) == 7
    assert {path: path.stat().st_mtime_ns for path in written} == times


VARIANTS = {
    "numbers only": table(rows(["a.wav", "b.wav"]), genre=False),
    "audio as bytes": table([(wav(0), 0), (wav(1), 1)], audio=pa.binary()),
    "samples": table(
        [({"array": synthesise(0.6, i, 8000).tolist(), "sampling_rate": 8000}, i) for i in range(2)],
        audio=pa.struct([("array", pa.list_(pa.float32())), ("sampling_rate", pa.int64())]),
    ),
    "no names": table([({"bytes": wav(i), "path": None}, i) for i in range(2)]),
}


@pytest.mark.parametrize("case", VARIANTS)
def test_other_ways_to_write_the_same(served, tmp_path, case):
    served.put("data/train-0.parquet", VARIANTS[case])
    folder = fetch("someone/music", tmp_path / "work")
    tracks = AudioFolder.find(folder).tracks
    assert [track.genre for track in tracks] == ["blues", "classical"]
    samples, rate = soundfile.read(tracks[1].path, dtype="float32")
    assert rate == 8000
    np.testing.assert_allclose(samples, synthesise(0.6, 1, 8000), atol=1e-4)


METADATA = {
    "no JSON": "{",
    "no text": b"\xff",
    "nested deeply": "[" * 100_000,
    "a list": "[]",
    "info of null": '{"info": null}',
    "features of null": '{"info": {"features": null}}',
    "features in a list": '{"info": {"features": ["audio"]}}',
    "features that are words": '{"info": {"features": {"audio": "Audio", "label": null}}}',
    "genres that are no list": '{"info": {"features": {"label": {"_type": "ClassLabel", "names": 3}}}}',
}


@pytest.mark.parametrize("case", METADATA)
def test_odd_metadata_are_passed_over(served, tmp_path, case):
    content = table(rows(["a.wav", "b.wav"]), genre=False).replace_schema_metadata({"huggingface": METADATA[case]})
    served.put("data/train-0.parquet", content)
    folder = fetch("someone/music", tmp_path / "work")
    assert [track.track_id for track in AudioFolder.find(folder).tracks] == ["0/a.wav", "1/b.wav"]


def test_a_negative_number_is_no_genre(served, tmp_path):
    served.put("data/train-0.parquet", table([(row, -n) for n, (row, _) in enumerate(rows(["a.wav", "b.wav"]))], genre=False))
    tracks = AudioFolder.find(fetch("someone/music", tmp_path / "work")).tracks
    assert [track.track_id for track in tracks] == ["blues/a.wav"]


def test_names_cannot_leave_the_folder(served, tmp_path):
    names = ["../../evil.wav", "/etc/evil.wav", "C:\\evil.wav", "..", ".hidden.wav", "a.wav", "a.wav"]
    content = [({"bytes": wav(i), "path": name}, 0) for i, name in enumerate(names)]
    odd = table(content, genre=False, names=["../up", "x"])
    served.put("data/train-0.parquet", odd)
    folder = fetch("someone/music", tmp_path / "work")
    files = list(tmp_path.rglob("*.wav"))
    assert len(files) == len(names)
    assert {path.parent for path in files} == {folder / "train" / "_up"}


def test_names_that_no_file_system_takes_are_shortened(served, tmp_path):
    content = [({"bytes": wav(i), "path": f"{'日本' * 50}{i}.wav"}, i) for i in range(2)]
    served.put("data/train-0.parquet", table(content, genre=False, names=["日本" * 100, "blues \ud800"]))
    tracks = AudioFolder.find(fetch("someone/music", tmp_path / "work")).tracks
    assert [track.genre for track in tracks] == ["blues", "日本" * 33]
    assert [track.path.name[-6:] for track in tracks] == ["本1.wav", "本0.wav"]


def test_an_ending_is_told_by_the_content(served, tmp_path):
    flac = io.BytesIO()
    soundfile.write(flac, synthesise(0.6), 22050, format="FLAC")
    served.put("data/train-0.parquet", table([({"bytes": flac.getvalue(), "path": "some.audio"}, 0)]))
    fetch("someone/music", tmp_path / "work")
    assert [path.name for path in tmp_path.rglob("*.flac")] == ["some.audio.flac"]


def test_data_sets_without_audio_or_genre_are_told(served, tmp_path):
    served.put("data/train-0.parquet", pa.table({"text": ["x"], "label": [0]}))
    with pytest.raises(DataError, match=r"hub:a/text has no column for the audio \(it has text, label\)"):
        fetch("a/text", tmp_path / "work")
    served.put("data/train-0.parquet", pa.table({"audio": [b"x"], "speaker": [0]}))
    with pytest.raises(DataError, match="no column for the genre"):
        fetch("a/speech", tmp_path / "work")
    served.put("data/train-0.parquet", table([({"bytes": None, "path": "a.wav"}, 0)]))
    with pytest.raises(DataError, match="holds no audio, only its names"):
        fetch("a/links", tmp_path / "work")

    for array, rate in (([[0.5, 0.5], [0.5]], 8000), ([[0.5]], -1), ([[0.5]], 1 << 40)):
        kind = pa.struct([("array", pa.list_(pa.list_(pa.float32()))), ("sampling_rate", pa.int64())])
        served.put("data/train-0.parquet", table([({"array": array, "sampling_rate": rate}, 0)], audio=kind))
        with pytest.raises(DataError, match="holds no audio"):
            fetch("a/numbers", tmp_path / "work")


@pytest.mark.parametrize("damage", [lambda whole: whole[:100], lambda whole: whole[:4] + b"\xff" * 16 + whole[20:]])
def test_a_damaged_parquet_is_told_and_fetched_anew(gtzan, tmp_path, monkeypatch, damage):
    unlink = Path.unlink

    def unlink_closed(path, **options):
        assert str(path) not in [file.path for file in psutil.Process().open_files()], "Windows deletes no open file"
        unlink(path, **options)

    monkeypatch.setattr(Path, "unlink", unlink_closed)
    path = gtzan.folder / "data/test-00000-of-00001.parquet"
    whole = path.read_bytes()
    path.write_bytes(damage(whole))
    with pytest.raises(DataError, match=r"test-00000-of-00001\.parquet arrived damaged"):
        fetch("confit/gtzan", tmp_path / "work")
    path.write_bytes(whole)
    assert len(AudioFolder.find(fetch("confit/gtzan", tmp_path / "work")).tracks) == 7


def test_a_full_disk_is_told_before(gtzan, tmp_path, monkeypatch):
    monkeypatch.setattr(hub.shutil, "disk_usage", lambda _: type("Usage", (), {"free": 10}))
    with pytest.raises(DataError, match="only 0 MB are free"):
        fetch("confit/gtzan", tmp_path / "work")


@pytest.mark.parametrize(
    ("source", "repository"),
    [
        ("hub:confit/gtzan", "confit/gtzan"),
        ("https://huggingface.co/datasets/confit/gtzan-parquet/", "confit/gtzan-parquet"),
        ("music", None),
        ("/data/hub:x/y", None),
    ],
)
def test_names_of_data_sets(source, repository):
    assert repository_of(source) == repository


@pytest.mark.parametrize("source", ["hub:", "hub:gtzan", "hub:a/b/c", "hub:a b/c"])
def test_names_that_are_none(source):
    with pytest.raises(DataError, match="write hub:OWNER/NAME"):
        repository_of(source)
