"""Unpack a zip from an untrusted source.

Names, kinds and sizes of all entries are checked before anything is written. Sizes are counted again while unpacking, since
headers may lie. Only audio, tables and mel caches are unpacked. The folder gets its final name when all files are in it.
"""

from __future__ import annotations

import hashlib
import io
import shutil
import stat
import struct
import unicodedata
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from genre_app.data.cache.mel_cache import MelCache
from genre_app.data.lock import locked
from genre_app.data.sources.folder import AUDIO_SUFFIXES
from genre_app.errors import DataError
from genre_app.files import FORBIDDEN_LETTERS, is_reserved_name, move, name_key
from genre_app.progress import QUIET, Meter, Monitor

# Beside audio and CSV: a mel cache, and the genres of a collection that mean "none of these".
_TABLES = ("spec.json", MelCache.ARRAY, "none_of_these.json")
_COPY_BYTES = 1 << 20
_FREE_BYTES = 1 << 26  # the ratio is not limited up to this unpacked size, since synthesised sounds compress well
# The errors of zipfile on a damaged file; NotImplementedError is a RuntimeError.
_DAMAGE = (zipfile.BadZipFile, zlib.error, struct.error, EOFError, ValueError, OverflowError, RuntimeError)
# Unicode categories of characters that are not shown, or that change the order in which others are shown (U+202E): format
# characters, surrogates, private and unassigned ones, separators of lines and paragraphs.
_HIDDEN = ("Cf", "Cs", "Co", "Cn", "Zl", "Zp")
_KINDS = {stat.S_IFLNK: "a link", stat.S_IFIFO: "a pipe", stat.S_IFSOCK: "a socket", stat.S_IFCHR: "a device"}


@dataclass(frozen=True)
class Limits:
    """Limits for the content of a zip.

    Attributes
    ----------
    files : int
        Number of entries of any kind.
    directory_bytes : int
        Size of the zip's directory, which is read at once.
    unpacked_bytes : int
    ratio : float
        Unpacked size over packed size; applies to more than 64 MiB unpacked.
    depth : int
        Number of nested folders.
    """

    files: int = 50_000
    directory_bytes: int = 1 << 24
    unpacked_bytes: int = 20 << 30
    ratio: float = 100.0
    depth: int = 12


class _Limited(io.FileIO):
    """A file that refuses to read more than ``limit`` bytes at once, as zipfile does with a zip's directory."""

    limit = 0

    def read(self, size: int | None = -1, /) -> bytes:
        if size is not None and size > self.limit:
            raise DataError(f"its list of files is longer than {self.limit} bytes; pack it into several zips")
        return super().read(self.limit if size is None or size < 0 else size)


def unpack(path: Path, work: Path, *, limits: Limits | None = None, monitor: Monitor = QUIET) -> Path:
    """Unpack the audio and the tables of a zip into the work folder, unless that is done already.

    Returns
    -------
    pathlib.Path
        Folder whose name holds the digest of the zip.

    Raises
    ------
    DataError
        If the zip is damaged or encrypted, exceeds a limit, or has an entry with a dangerous name or kind.
    StoppedError
    """
    limits = limits or Limits()
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()[:16]
        work.mkdir(parents=True, exist_ok=True)
        folder = work / f"zip-{digest}"
        with locked(work / f"zip-{digest}.lock", monitor):
            if not folder.is_dir():
                part = work / f"zip-{digest}.part"
                shutil.rmtree(part, ignore_errors=True)
                try:
                    _unpack(path, size, part, limits, monitor)
                    move(part, folder)
                finally:
                    shutil.rmtree(part, ignore_errors=True)
            folder.touch()  # marks it as used; unused uploads are removed
        return folder
    except DataError as error:
        raise DataError(f"{path.name}: {error}") from error
    except OSError as error:
        raise DataError(f"{path.name} cannot be unpacked into {work}: {error.strerror or error}.") from error


def member_names(path: Path) -> list[str]:
    """Return the names of the files that `unpack` would write; raises `DataError` if the zip's directory is refused."""
    return [member.filename for member in _listed(path, Limits())]


def _unpack(path: Path, size: int, part: Path, limits: Limits, monitor: Monitor) -> None:
    wanted = _listed(path, limits)
    total = sum(member.file_size for member in wanted)
    most = min(limits.unpacked_bytes, max(_FREE_BYTES, round(limits.ratio * size)))
    if total > most:
        raise DataError(_too_much(total, size, limits))
    free = shutil.disk_usage(part.parent).free
    if total > free:
        raise DataError(f"it unpacks to {total >> 20} MB, but only {free >> 20} MB are free in {part.parent}; make room")
    meter = Meter("unpacking MB", total >> 20, total, monitor)
    part.mkdir()
    written = 0
    with zipfile.ZipFile(path) as archive:
        for member in wanted:
            target = part.joinpath(*member.filename.split("/"))
            target.parent.mkdir(parents=True, exist_ok=True)
            try:
                with archive.open(member) as source, target.open("xb") as file:
                    while block := source.read(_COPY_BYTES):
                        written += len(block)
                        if written > most:
                            raise DataError(_too_much(written, size, limits))
                        file.write(block)
                        meter.advance_bytes(len(block))
            except DataError:
                raise
            except _DAMAGE as error:
                raise DataError(f"{_shown(member.filename)} in it is damaged ({error}); pack or upload it again") from error


def _listed(path: Path, limits: Limits) -> list[zipfile.ZipInfo]:
    """Check all members and return those to unpack."""
    try:
        with _Limited(path) as file:
            file.limit = limits.directory_bytes
            with zipfile.ZipFile(file) as archive:
                members = archive.infolist()
    except DataError:
        raise
    except _DAMAGE as error:
        raise DataError(f"it is not a readable zip, or a part of it is missing ({error}); pack or upload it again") from error
    if len(members) > limits.files:
        raise DataError(f"it holds {len(members)} files, more than {limits.files}; pack it into several zips")
    folders: set[str] = set()
    files: dict[str, str] = {}
    for member in members:
        problem = _problem(member, limits)
        if problem is not None:
            raise DataError(f"{_shown(member.orig_filename)} in it {problem}")
        name = name_key(member.filename.rstrip("/"))
        folders.update(map(str, PurePosixPath(name).parents))
        if member.is_dir():
            folders.add(name)
        elif name in files:
            raise DataError(f"{_shown(files[name])} is in it twice, apart from upper and lower case; keep one of them")
        else:
            files[name] = member.filename
    for name, shown in files.items():
        if name in folders:
            raise DataError(f"{_shown(shown)} in it is both a file and a folder; pack it again")
    wanted = [member for member in members if not member.is_dir() and _is_wanted(member.filename)]
    if not wanted:
        raise DataError("it holds no audio files; it should hold blues/a.wav, jazz/b.wav and so on")
    return wanted


def _problem(member: zipfile.ZipInfo, limits: Limits) -> str | None:
    # From Python 3.12 on, a member may have a second name in Unicode, which then is its `filename`.
    for name in (member.orig_filename, member.filename):
        problem = _name_problem(name, limits)
        if problem is not None:
            return problem
    kind = stat.S_IFMT(member.external_attr >> 16)
    if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
        return f"is {_KINDS.get(kind, 'a special file')}, not a file; pack the file itself"
    if member.flag_bits & 0x2041:  # encrypted, strongly so, or with its names hidden
        return "is encrypted; pack it without a password"
    if member.flag_bits & 0x20:
        return "is a patch for another file, not a file; pack it again"
    if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):  # the others unpack without bounds on memory
        return "is packed by an uncommon method; pack it as an ordinary zip"
    return None


def _name_problem(name: str, limits: Limits) -> str | None:
    parts = name.rstrip("/").split("/")
    if any(unicodedata.category(letter) == "Cc" for letter in name):
        return "has a control character in its name; rename it"
    if "\\" in name:
        return "has a backslash in its name; pack it with a program that writes forward slashes"
    if name.startswith("/") or (len(name) > 1 and name[1] == ":"):
        return "has an absolute path; pack it with relative ones"
    if ".." in parts or "." in parts or "" in parts:
        return "has a path that leaves its folder or has an empty part; pack it again"
    hidden = next((letter for letter in name if unicodedata.category(letter) in _HIDDEN), None)
    if hidden is not None:
        return f"has the invisible character U+{ord(hidden):04X} in its name; rename it"
    forbidden = next((letter for letter in name if letter in FORBIDDEN_LETTERS), None)
    if forbidden is not None:
        return f"has the character {forbidden} in its name, which not every system allows; rename it"
    reserved = next((part for part in parts if is_reserved_name(part)), None)
    if reserved is not None:
        return f"has the name {_shown(reserved)!r}, which Windows reserves or changes; rename it"
    if len(parts) > limits.depth:
        return f"lies more than {limits.depth} folders deep; use fewer nested folders"
    if any(len(part.encode("utf-8", "replace")) > 255 for part in parts):
        return "has a name that is too long; rename it"
    return None


def _is_wanted(name: str) -> bool:
    parts = name.split("/")
    if any(part.startswith(".") or part == "__MACOSX" for part in parts):
        return False
    return Path(parts[-1]).suffix.lower() in (*AUDIO_SUFFIXES, ".csv") or parts[-1] in _TABLES


def _too_much(total: int, size: int, limits: Limits) -> str:
    if total > limits.unpacked_bytes:
        return f"it unpacks to more than {limits.unpacked_bytes >> 20} MB; unpack it yourself and give the folder"
    return f"it unpacks to {total >> 20} MB, more than {limits.ratio:g} times its size ({size} bytes), unlike music; check it"


def _shown(name: str) -> str:
    return "".join(letter if letter.isprintable() else "?" for letter in name)[:120]
