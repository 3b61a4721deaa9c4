"""Genres in tags: what is proposed, written and restored, and that the audio and the other tags stay as they are."""

from __future__ import annotations

import os
from pathlib import Path

import av
import mutagen
import numpy as np
import pytest
import soundfile
from mutagen.id3 import APIC, ID3, TCON, TIT2, TXXX, TYER
from mutagen.mp3 import MP3

from genre_app.library import tags
from genre_app.library.records import Answer
from genre_app.library.scan import scan
from tests.audio.files import encode
from tests.conftest import synthesise
from tests.library.conftest import opened

KINDS = ("mp3", "mp3 v2.3", "mp3 v1", "mp3 bare", "flac", "ogg", "opus", "m4a")
GENRE = {"m4a": "\xa9gen"}


def tail(genre: int) -> bytes:
    return b"TAG" + b"only in ID3v1".ljust(30, b"\0") + bytes(94) + bytes([genre])


def make(folder: Path, kind: str, genre: str = "Shoegaze") -> Path:
    """Write a file of a kind with a title, a genre and, in MP3, a picture."""
    samples = np.clip(synthesise(2.0, 3, 44100), -1, 1)
    path = folder / f"song.{kind.split()[0]}"
    if kind == "m4a":
        encode(np.stack([samples, samples], 1), 44100, "ipod", "aac", file=path)
    else:
        rate = 48000 if kind == "opus" else 44100
        options = {"opus": {"format": "OGG", "subtype": "OPUS"}}.get(kind, {})
        soundfile.write(path, samples, rate, **options)
    if kind.startswith("mp3"):
        song = MP3(path)
        song.delete()
        if kind == "mp3 v1":
            path.write_bytes(path.read_bytes() + tail(17))
        if kind in ("mp3", "mp3 v2.3"):
            song.add_tags()
            song.tags.add(TIT2(encoding=3, text="A title"))
            song.tags.add(APIC(encoding=0, mime="image/png", type=3, data=b"\x89PNG" + bytes(5000)))
            song.tags.add(TXXX(encoding=1, desc="mine", text="\u00fc"))
            song.tags.add(TCON(encoding=0, text=genre))
            if kind == "mp3 v2.3":
                song.tags.add(TYER(encoding=0, text="1999"))
            song.save(v2_version=3 if kind == "mp3 v2.3" else 4)
            path.write_bytes(path.read_bytes() + tail(17))
        return path
    song = mutagen.File(path)
    song["\xa9nam" if kind == "m4a" else "title"] = ["A title"]
    song[GENRE.get(kind, "genre")] = [genre, "Dream Pop"]
    song.save()
    return path


def packets(path: Path) -> list[tuple[int | None, bytes]]:
    """The coded audio, read without the code under test."""
    with av.open(str(path)) as container:
        return [(packet.pts, bytes(packet)) for packet in container.demux(audio=0)]


def frames(path: Path) -> dict[str, object]:
    """All tags but the genre."""
    song = MP3(path, translate=False) if path.suffix == ".mp3" else mutagen.File(path)
    return {key.lower(): str(song[key]) for key in song if key.lower() not in ("tcon", "genre", "\xa9gen")}


def genres(path: Path) -> list[str]:
    song = mutagen.File(path)
    key = "TCON" if path.suffix == ".mp3" else GENRE.get(path.suffix[1:], "genre")
    values = song.get(key) if song.tags is not None else None
    return list(getattr(values, "text", values) or [])


def work(folder: Path, genre: str = "jazz", *, sure: bool = True, undo: bool = False) -> list[str]:
    """Scan, give each new file the same answer, then write or restore all tags; return what was said."""
    with opened(folder) as catalogue:
        catalogue.use_checkpoint(f"tiny {genre}", "tiny")
        scan(folder, catalogue)
        for track in catalogue.tracks():
            if track.answer is None and track.content:
                catalogue.put_answer(track.content, Answer(genre, None, sure, {genre: 0.9}))
        tracks = catalogue.tracks()
        said = []
        for track in tracks:
            change = tags.restoration(folder, catalogue, track) if undo else tags.proposal(folder, track)
            if change is None:
                continue
            refusal = change if isinstance(change, tags.Refusal) else tags.carry_out(folder, catalogue, change)
            said.append(str(refusal or change))
        assert not list(folder.glob(".genre-app-*"))
        return said


@pytest.mark.usefixtures("flushed_as_on_windows")
@pytest.mark.parametrize("kind", KINDS)
def test_writing_keeps_the_audio_and_the_other_tags_and_undo_restores(kind, tmp_path):
    path = make(tmp_path, kind)
    path.chmod(0o640)
    first, before, others, audio = path.read_bytes(), genres(path), frames(path), packets(path)
    assert len(audio) > 20
    (said,) = work(tmp_path)
    assert said.startswith(f"{path.name}: ")
    assert said.endswith(" -> jazz")
    assert genres(path) == ["jazz"]
    assert packets(path) == audio
    assert path.stat().st_mode & 0o777 == 0o640
    assert "v1" in kind or frames(path) == others
    if kind in ("mp3", "mp3 v2.3", "mp3 v1"):
        assert path.read_bytes()[-128:] == tail(17)
    if kind in ("mp3", "mp3 v2.3"):
        assert ID3(path, translate=False).version == ((2, 3, 0) if "2.3" in kind else (2, 4, 0))
    with opened(tmp_path) as catalogue:
        (track,) = catalogue.tracks()
        assert scan(tmp_path, catalogue).n_read == 0  # its new state is known
        assert (track.answer.genre, track.content) == ("jazz", tags.content_of(path))
    assert work(tmp_path) == []  # nothing is left to write
    assert len(work(tmp_path, undo=True)) == 1
    assert genres(path) == before
    assert packets(path) == audio
    assert kind != "mp3 bare" or path.read_bytes() == first
    assert work(tmp_path, undo=True) == []


def test_a_genre_in_another_spelling_and_an_unsure_answer_change_nothing(tmp_path):
    make(tmp_path, "flac", "Hip-Hop")
    make(tmp_path, "mp3", "(17)")  # ID3's number of Rock
    before = {path: path.read_bytes() for path in tmp_path.glob("song.*")}
    soundfile.write(tmp_path / "other.wav", synthesise(1.0), 22050)
    assert work(tmp_path, "hiphop") == ["song.mp3: Rock -> hiphop"]
    assert len(work(tmp_path, undo=True)) == 1
    assert genres(tmp_path / "song.mp3") == ["Rock"]
    assert ID3(tmp_path / "song.mp3", translate=False)["TCON"].text == ["(17)"]
    assert work(tmp_path, "rock") == ["song.flac: Hip-Hop; Dream Pop -> rock"]
    assert len(work(tmp_path, undo=True)) == 1
    assert work(tmp_path, "metal", sure=False) == []
    assert (tmp_path / "song.flac").read_bytes()[:4] == b"fLaC"
    assert genres(tmp_path / "song.flac") == ["Hip-Hop", "Dream Pop"]
    assert packets(tmp_path / "song.flac")
    assert before.keys() == {tmp_path / "song.flac", tmp_path / "song.mp3"}


def test_undo_leaves_a_genre_that_was_changed_since(tmp_path):
    path = make(tmp_path, "ogg")
    work(tmp_path)
    song = mutagen.File(path)
    song["genre"] = ["Bebop"]
    song.save()
    (said,) = work(tmp_path, undo=True)
    assert "no longer the one that was written" in said
    assert genres(path) == ["Bebop"]
    song["genre"] = ["jazz"]
    song["title"] = ["Another title"]
    song.save()
    assert len(work(tmp_path, undo=True)) == 1  # other tags may change
    assert (genres(path), mutagen.File(path)["title"]) == (["Shoegaze", "Dream Pop"], ["Another title"])


def test_undo_finds_a_moved_file_and_the_first_genre_after_two_writes(tmp_path):
    path = make(tmp_path, "m4a")
    work(tmp_path, "jazz")
    assert work(tmp_path, "pop") == ["song.m4a: jazz -> pop"]
    (tmp_path / "b").mkdir()
    path.rename(tmp_path / "b/other.m4a")
    assert work(tmp_path, "pop", undo=True) == ["b/other.m4a: pop -> Shoegaze; Dream Pop"]
    assert genres(tmp_path / "b/other.m4a") == ["Shoegaze", "Dream Pop"]


def test_undo_leaves_another_recording_with_the_same_genre(tmp_path):
    path = make(tmp_path, "flac")
    work(tmp_path)
    soundfile.write(path, synthesise(2.0, 9, 44100), 44100)
    song = mutagen.File(path)
    song["genre"] = ["jazz"]
    song.save()
    (said,) = work(tmp_path, undo=True)
    assert "other audio" in said
    assert genres(path) == ["jazz"]


def test_undo_restores_the_genre_of_a_recording_that_took_the_place(tmp_path):
    path = make(tmp_path, "flac")
    work(tmp_path)
    soundfile.write(path, synthesise(2.0, 9, 44100), 44100)
    song = mutagen.File(path)
    song["genre"] = ["jazz"]  # by its owner, and not by an earlier call
    song.save()
    assert work(tmp_path, "pop") == ["song.flac: jazz -> pop"]
    assert work(tmp_path, "pop", undo=True) == ["song.flac: pop -> jazz"]


def test_undo_restores_a_file_that_was_away_for_a_while(tmp_path):
    path, away = make(tmp_path, "flac"), tmp_path.with_name(f"{tmp_path.name} away")
    soundfile.write(tmp_path / "other.wav", synthesise(1.0), 22050)
    work(tmp_path)
    path.rename(away)
    assert work(tmp_path) == []
    away.rename(path)
    assert len(work(tmp_path, undo=True)) == 1
    assert genres(path) == ["Shoegaze", "Dream Pop"]


@pytest.mark.parametrize("undo", [False, True])
@pytest.mark.parametrize("moment", ["before", "after"])
def test_a_kill_around_the_replacement_leaves_a_whole_file_that_can_be_restored(tmp_path, monkeypatch, moment, undo):
    path = make(tmp_path, "mp3")
    if undo:
        work(tmp_path)
    audio, swap = packets(path), Path.replace

    class KilledError(BaseException):
        pass

    def killed(source, target):
        if moment == "after":
            swap(source, target)
        raise KilledError

    monkeypatch.setattr(Path, "replace", killed)
    with pytest.raises(KilledError):
        work(tmp_path, undo=undo)
    monkeypatch.undo()
    assert packets(path) == audio
    assert genres(path) == (["jazz"] if undo == (moment == "before") else ["Shoegaze"])
    with opened(tmp_path) as catalogue:
        assert scan(tmp_path, catalogue).n_read == (moment == "after")
        (track,) = catalogue.tracks()
        assert track.answer is not None  # the content that was announced is known
    work(tmp_path)
    assert genres(path) == ["jazz"]
    assert len(work(tmp_path, undo=True)) == 1
    assert genres(path) == ["Shoegaze"]


def test_what_may_not_be_written_is_refused(tmp_path, monkeypatch):
    (tmp_path / "music").mkdir()
    outside = make(tmp_path, "flac")
    (tmp_path / "music/link.flac").symlink_to(outside)
    inside = make(tmp_path / "music", "ogg")
    before = [outside.read_bytes(), inside.read_bytes()]
    monkeypatch.setattr(os, "access", lambda path, mode: mode != os.W_OK)
    assert [line.split(": ")[1] for line in work(tmp_path / "music")] == [
        "its link leads out of the folder",
        "it is write-protected",
    ]
    monkeypatch.undo()
    changing = tags._change_copy
    monkeypatch.setattr(
        tags, "_change_copy", lambda copy, values: (changing(copy, values), inside.touch(), inside.write_bytes(b"x"))
    )
    assert work(tmp_path / "music")[1].endswith("it was changed meanwhile; start again")
    assert inside.read_bytes() == b"x"
    inside.write_bytes(before[1])
    monkeypatch.setattr(tags, "_change_copy", lambda copy, values: copy.write_bytes(inside.read_bytes()[:-500]))
    assert "audio would not stay the same" in work(tmp_path / "music")[1]
    assert [outside.read_bytes(), inside.read_bytes()] == before


def test_links_in_the_folder_stay_links(tmp_path):
    path = make(tmp_path, "flac")
    (tmp_path / "a-link.flac").symlink_to(path.name)
    assert work(tmp_path) == ["a-link.flac: Shoegaze; Dream Pop -> jazz"]
    assert (tmp_path / "a-link.flac").is_symlink()
    assert genres(path) == ["jazz"]
    assert len(work(tmp_path, undo=True)) == 1
    assert genres(path) == ["Shoegaze", "Dream Pop"]


@pytest.mark.parametrize("kind", ["mp3", "flac", "ogg", "opus", "m4a"])
def test_damaged_tags_end_in_a_sentence(kind, tmp_path):
    """Bytes of the first 2000 are changed, cut or doubled."""
    path = make(tmp_path, kind)
    whole, random = path.read_bytes(), np.random.default_rng(0)
    for _ in range(40):
        damaged = bytearray(whole)
        start, length = random.integers(0, 2000), random.integers(1, 40)
        choice = random.integers(3)
        damaged[start : start + length] = [bytes(length), b"", random.bytes(2 * length)][choice]
        path.write_bytes(damaged)
        said = work(tmp_path)
        assert len(said) <= 1
        assert all("\n" not in line for line in said)
