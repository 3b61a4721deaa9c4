"""Zips of strangers: what is unpacked, what is refused, and that nothing is ever written outside."""

from __future__ import annotations

import os
import struct
import zipfile
import zlib
from types import SimpleNamespace

import pytest

from genre_app.data.sources import archive
from genre_app.data.sources.archive import Limits, unpack
from genre_app.errors import DataError
from genre_app.progress import Monitor, StoppedError
from tests.data.sources.zips import GOOD, files_in, pack, refused


def test_audio_and_tables_are_unpacked_and_the_rest_passed_over(tmp_path, work):
    others = {
        "music/cover.png": b"png",
        "music/run.sh": b"rm",
        "music/blues/.hidden.wav": b"x",
        "__MACOSX/music/blues/._a.wav": b"x",
        "inner.zip": b"PK",
        "music/empty/": b"",
    }
    folder = unpack(pack(tmp_path / "a.zip", GOOD | others), work)
    assert files_in(folder) == GOOD
    assert folder.parent == work
    assert oct(next(folder.rglob("*.wav")).stat().st_mode & 0o111) == "0o0"


def test_the_same_zip_is_not_unpacked_again(tmp_path, work, monkeypatch):
    folder = unpack(pack(tmp_path / "a.zip", GOOD), work)
    monkeypatch.setattr(archive, "_unpack", None)
    (tmp_path / "a.zip").rename(tmp_path / "other name.zip")
    os.utime(folder, (1, 1))
    assert unpack(tmp_path / "other name.zip", work) == folder
    assert folder.stat().st_mtime > 1  # that it is in use can be seen


def test_what_a_killed_process_left_is_made_again(tmp_path, work):
    path = pack(tmp_path / "a.zip", GOOD)
    folder = unpack(path, work)
    part = folder.with_suffix(".part")
    folder.rename(part)
    (part / "music/blues/a.wav").write_bytes(b"ha")
    assert files_in(unpack(path, work)) == GOOD
    assert not part.exists()


def test_progress_is_told_and_stopping_leaves_nothing(tmp_path, work):
    path = pack(tmp_path / "a.zip", {f"blues/{i}.wav": os.urandom(1 << 20) for i in range(4)}, zipfile.ZIP_STORED)
    seen = []
    with pytest.raises(StoppedError):
        unpack(path, work, monitor=Monitor(seen.append, lambda: len(seen) == 2))
    assert [(moment.stage, moment.done, moment.total) for moment in seen] == [("unpacking MB", 1, 4), ("unpacking MB", 2, 4)]
    assert [entry.suffix for entry in work.iterdir()] == [".lock"]
    assert len(files_in(unpack(path, work))) == 4


# Sizes


def test_too_many_files_are_refused(tmp_path, work):
    path = pack(tmp_path / "a.zip", {f"blues/{i}.wav": b"" for i in range(11)})
    refused(path, work, "holds 11 files, more than 10", files=10)
    refused(path, work, "list of files is longer than 300 bytes", directory_bytes=300)


def test_too_much_is_refused_by_the_headers(tmp_path, work):
    path = pack(tmp_path / "a.zip", {f"blues/{i}.wav": bytes(1 << 20) for i in range(3)})
    refused(path, work, "unpacks to more than 2 MB", unpacked_bytes=2 << 20)


def test_a_bomb_is_refused_by_its_ratio(tmp_path, work, monkeypatch):
    path = pack(tmp_path / "a.zip", {"blues/a.wav": bytes(5 << 20), "blues/b.wav": bytes(5 << 20)})
    assert len(files_in(unpack(path, work / "free"))) == 2  # small enough for anything
    monkeypatch.setattr(archive, "_FREE_BYTES", 1 << 20)
    with pytest.raises(DataError, match="unpacks to 10 MB, more than 100 times its size"):
        unpack(path, work / "limited")


def test_sizes_are_counted_and_not_believed(tmp_path, work):
    """Headers that claim a byte where there are megabytes: what comes out is what counts."""
    data = bytes(4 << 20)
    path = pack(tmp_path / "a.zip", {"blues/a.wav": data})
    lied = path.read_bytes().replace(struct.pack("<I", len(data)), struct.pack("<I", 1))
    path.write_bytes(lied.replace(struct.pack("<I", zlib.crc32(data)), struct.pack("<I", zlib.crc32(data[:1]))))
    with zipfile.ZipFile(path) as file:
        assert file.infolist()[0].file_size == 1
    try:
        folder = unpack(path, work, limits=Limits(unpacked_bytes=1 << 20))
    except DataError:
        return
    assert sum(len(content) for content in files_in(folder).values()) <= 1


def test_overlapping_members_are_counted_each(tmp_path, work, monkeypatch):
    """One packed stream that many entries point to, as in the densest bombs."""
    monkeypatch.setattr(archive, "_FREE_BYTES", 1 << 20)
    path = pack(tmp_path / "a.zip", {"blues/00.wav": os.urandom(1 << 16)}, zipfile.ZIP_STORED)
    raw = path.read_bytes()
    end = raw.rindex(b"PK\5\6")
    start = struct.unpack("<I", raw[end + 16 : end + 20])[0]
    entry, n = raw[start:end], 300
    listing = b"".join(entry.replace(b"00.wav", f"{i % 100:02d}.wa{'vxyz'[i // 100]}".encode()) for i in range(n))
    listing = listing.replace(b".wax", b".aif").replace(b".way", b".caf").replace(b".waz", b".mp3")
    tail = raw[end : end + 8] + struct.pack("<HHII", n, n, len(listing), start) + b"\0\0"
    path.write_bytes(raw[:start] + listing + tail)
    refused(path, work, "times its size|damaged", ratio=10)


# Damage


def test_a_wrong_checksum_is_told_with_the_files_name(tmp_path, work):
    path = pack(tmp_path / "a.zip", GOOD | {"blues/c.wav": b"some samples here"}, zipfile.ZIP_STORED)
    path.write_bytes(path.read_bytes().replace(b"some samples here", b"some sAmples here"))
    refused(path, work, r"blues/c\.wav in it is damaged \(Bad CRC-32")


def test_a_broken_stream_is_told(tmp_path, work):
    path = pack(tmp_path / "a.zip", {"blues/a.wav": b"abcdefgh" * 4000})
    raw = bytearray(path.read_bytes())
    at = 30 + len("blues/a.wav")
    raw[at : at + 20] = b"\xff" * 20
    path.write_bytes(raw)
    refused(path, work, r"blues/a\.wav in it is damaged")


@pytest.mark.parametrize("cut", [10, 200, -1, -60])
def test_a_cut_off_zip_is_told(tmp_path, work, cut):
    path = pack(tmp_path / "a.zip", GOOD)
    path.write_bytes(path.read_bytes()[:cut])
    refused(path, work, "not a readable zip")


def test_what_is_no_zip_is_told(tmp_path, work):
    (tmp_path / "a.zip").write_bytes(b"RIFF" + bytes(100))
    refused(tmp_path / "a.zip", work, "not a readable zip")


def test_an_encrypted_zip_is_told(tmp_path, work):
    path = pack(tmp_path / "a.zip", {"blues/a.wav": b"x"})
    raw = bytearray(path.read_bytes())
    for signature, at in ((b"PK\3\4", 6), (b"PK\1\2", 8)):
        raw[raw.index(signature) + at] |= 1
    path.write_bytes(raw)
    refused(path, work, "is encrypted")


def test_a_patch_is_told(tmp_path, work):
    path = pack(tmp_path / "a.zip", {"blues/a.wav": b"x"})
    raw = bytearray(path.read_bytes())
    raw[raw.index(b"PK\1\2") + 8] |= 0x20
    path.write_bytes(raw)
    refused(path, work, r"blues/a\.wav in it is a patch for another file")


@pytest.mark.parametrize("error", [RuntimeError, NotImplementedError, OverflowError, ValueError])
def test_what_the_reader_cannot_do_is_told(tmp_path, work, monkeypatch, error):
    def fail(*_, **__):
        raise error("no way")

    path = pack(tmp_path / "a.zip", GOOD)
    monkeypatch.setattr(zipfile.ZipFile, "open", fail)
    refused(path, work, r"blues/a\.wav in it is damaged \(no way\); pack or upload it again")


def test_a_file_that_begins_nowhere_is_told(tmp_path, work):
    """Beyond what a file's position can be, as the long form of a zip's list can say."""
    path = pack(tmp_path / "a.zip", {"blues/a.wav": b"x"})
    raw = bytearray(path.read_bytes())
    entry, end = raw.index(b"PK\1\2"), raw.index(b"PK\5\6")
    raw[entry + 42 : entry + 46] = b"\xff" * 4  # the offset is in the extra field
    raw[entry + 30 : entry + 32] = struct.pack("<H", 12)
    raw[end + 12 : end + 16] = struct.pack("<I", end - entry + 12)
    path.write_bytes(raw[:end] + struct.pack("<HHQ", 1, 8, 2**64 - 9) + raw[end:])
    refused(path, work, r"blues/a\.wav in it is damaged")


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_methods_without_bounds_are_refused(tmp_path, work, method):
    refused(pack(tmp_path / "a.zip", GOOD, method), work, "uncommon method")


def test_a_zip_without_audio_is_told(tmp_path, work):
    refused(pack(tmp_path / "a.zip", {"a.txt": b"x", "cover.png": b"y"}), work, "holds no audio files")


def test_a_full_disk_is_told(tmp_path, work, monkeypatch):
    path = pack(tmp_path / "a.zip", {"blues/a.wav": bytes(3 << 20)})
    monkeypatch.setattr(archive.shutil, "disk_usage", lambda _: SimpleNamespace(free=1 << 20))
    refused(path, work, "only 1 MB are free")
