"""Zips of strangers: names that lead elsewhere, clash or hide something, and entries that are no files."""

from __future__ import annotations

import stat
import zipfile

import pytest

from genre_app.data.sources.archive import unpack
from tests.data.sources.zips import GOOD, pack, refused

NAMES = {
    "up": ("../evil.wav", "path that leaves its folder"),
    "up within": ("blues/../../evil.wav", "path that leaves its folder"),
    "up, not audio": ("../../evil.txt", "path that leaves its folder"),
    "dot": ("./blues/a.wav", "path that leaves its folder"),
    "empty part": ("blues//a.wav", "path that leaves its folder"),
    "absolute": ("/tmp/evil.wav", "absolute path"),
    "drive": ("C:/evil.wav", "absolute path"),
    "drive, relative": ("C:evil.wav", "absolute path"),
    "backslash": ("blues\\..\\..\\evil.wav", "backslash"),
    "share": ("\\\\server\\evil.wav", "backslash"),
    "control": ("blues/a\nb.wav", "control character"),
    "right to left": ("blues/a\u202egpj.wav", "the invisible character U\\+202E"),
    "zero width": ("blues/a\u200b.wav", "the invisible character U\\+200B"),
    "device": ("blues/CON.wav", "Windows reserves"),
    "device as a folder": ("nul/a.wav", "Windows reserves"),
    "device with a suffix": ("blues/com1.tar.wav", "Windows reserves"),
    "dot at the end": ("blues./a.wav", "Windows reserves"),
    "markup": ("blues/<img src=x onerror=alert(1)>.wav", "the character <"),
    "quote": ('blues/a".wav', 'the character "'),
    "deep": ("/".join("abcdefghijklmno") + ".wav", "more than 12 folders deep"),
    "long": ("blues/" + "a" * 300 + ".wav", "name that is too long"),
}


@pytest.mark.parametrize("case", NAMES)
def test_bad_names_are_refused(tmp_path, work, case):
    name, message = NAMES[case]
    refused(pack(tmp_path / "a.zip", GOOD | {name: b"x"}), work, message)


@pytest.mark.parametrize(
    "name", ["blues/console.wav", "blues/a & b 'c' (1) – é 日本 🎸.wav", "blues/.hidden.wav", "blues/con fuoco.wav"]
)
def test_ordinary_names_are_accepted(tmp_path, work, name):
    assert unpack(pack(tmp_path / "a.zip", GOOD | {name: b"x"}), work).is_dir()


def test_a_null_byte_is_refused(tmp_path, work):
    path = pack(tmp_path / "a.zip", GOOD | {"blues/a.wavX.png": b"x"})
    path.write_bytes(path.read_bytes().replace(b"a.wavX.png", b"a.wav\0.png"))
    refused(path, work, "control character")


def test_a_second_name_is_checked_too(tmp_path, work, monkeypatch):
    """Python 3.12 takes the name from the field "Unicode path" of a member, if there is one."""
    read = zipfile.ZipFile.infolist

    def infolist(archive):
        for member in read(archive):
            if member.orig_filename == "blues/x.wav":
                member.filename = "blues/<b>.wav"
        return read(archive)

    path = pack(tmp_path / "a.zip", GOOD | {"blues/x.wav": b"x"})
    monkeypatch.setattr(zipfile.ZipFile, "infolist", infolist)
    refused(path, work, "the character <")


CLASHES = {
    "twice": (["blues/a.wav", "blues/a.wav"], "is in it twice"),
    "letter case": (["blues/a.wav", "Blues/A.wav"], "is in it twice"),
    "two ways to write é": (["blues/\u00e9.wav", "blues/e\u0301.wav"], "is in it twice"),
    "file and folder": (["blues/a.wav", "blues/a.wav/b.wav"], "both a file and a folder"),
}


@pytest.mark.parametrize("case", CLASHES)
@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_clashing_names_are_refused(tmp_path, work, case):
    names, message = CLASHES[case]
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w") as file:
        for name in names:
            file.writestr(name, b"x")
    refused(path, work, message)


KINDS = {"link": (stat.S_IFLNK, "is a link"), "pipe": (stat.S_IFIFO, "is a pipe"), "device": (stat.S_IFCHR, "is a device")}


@pytest.mark.parametrize("case", KINDS)
def test_special_files_are_refused(tmp_path, work, case):
    kind, message = KINDS[case]
    member = zipfile.ZipInfo("blues/link.wav")
    member.create_system, member.external_attr = 3, (kind | 0o777) << 16
    path = pack(tmp_path / "a.zip", GOOD)
    with zipfile.ZipFile(path, "a") as file:
        file.writestr(member, b"/etc/passwd")
    refused(path, work, message)
