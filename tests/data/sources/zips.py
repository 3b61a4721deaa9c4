"""Zips for the tests of unpacking, and what a refusal looks like."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest

from genre_app.data.sources.archive import Limits, unpack
from genre_app.errors import DataError

GOOD = {"music/blues/a.wav": b"RIFF a", "music/jazz/b.mp3": b"ID3 b", "music/features_3_sec.csv": b"filename,label\n"}


def pack(path: Path, members: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> Path:
    with zipfile.ZipFile(path, "w", method) as file:
        for name, data in members.items():
            file.writestr(name, data)
    return path


def files_in(folder: Path) -> dict[str, bytes]:
    return {file.relative_to(folder).as_posix(): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


def refused(path: Path, work: Path, message: str, **limits) -> None:
    with pytest.raises(DataError, match=message) as caught:
        unpack(path, work, limits=Limits(**limits))
    sentence = str(caught.value)
    assert sentence.startswith(f"{path.name}: ")
    assert sentence.isprintable()
    assert not [entry for entry in work.glob("*") if entry.suffix != ".lock"]
