"""Collections as zips."""

from __future__ import annotations

import os
import zipfile
from pathlib import Path

import pytest

from genre_app.data.collection import Collection
from genre_app.data.collection.transfer import export_zip, import_zip
from genre_app.errors import DataError
from tests.data.collection.songs import song


def test_a_zip_brings_everything_to_another_collection(collection: Collection, tmp_path: Path) -> None:
    for number, genre in enumerate(("dub", "ska", "ska")):
        path = song(tmp_path, f"{number}.wav", hz=200 + 50 * number)
        collection.add(genre, path, origin="batch", answer="pop", probability=0.5, checkpoint="default")
    collection.mark_none_of_these("dub", True)
    os.utime(collection.path(collection.read().clips[0].id), (0, 0))  # a zip has no dates before 1980
    assert export_zip(collection, tmp_path / "out.zip") == 3
    other = Collection(tmp_path / "other")
    assert import_zip(other, tmp_path / "out.zip").added == 3
    assert other.read().none_of_these == {"dub"}
    kept = ("file", "source", "source_sha256", "origin", "answer", "probability", "checkpoint", "seconds")
    described = [sorted(tuple(getattr(clip, name) for name in kept) for clip in c.read().clips) for c in (collection, other)]
    assert described[0] == described[1]
    again = import_zip(other, tmp_path / "out.zip")
    assert (again.added, len(again.refused)) == (0, 3)
    third = Collection(tmp_path / "third")
    third.add_genre("DUB")
    import_zip(third, tmp_path / "out.zip")
    assert third.read().none_of_these == {"DUB"}


def test_a_zip_that_leaves_its_folder_is_refused(collection: Collection, tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "evil.zip", "w") as archive:
        archive.write(song(tmp_path, "a.wav"), "../../dub/a.wav")
    with pytest.raises(DataError, match="leaves its folder"):
        import_zip(collection, tmp_path / "evil.zip")
    with pytest.raises(DataError, match="no clips"):
        export_zip(collection, tmp_path / "out.zip")


def test_a_clip_that_another_window_removes_meanwhile_stops_the_export(
    collection: Collection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    collection.add("dub", song(tmp_path, "a.wav"), origin="file")
    contents = collection.read()
    collection.remove_genre("dub")
    monkeypatch.setattr(Collection, "read", lambda _: contents)
    with pytest.raises(DataError, match=r"mine: the collection cannot be exported \(No such file or directory\)"):
        export_zip(collection, tmp_path / "out.zip")
    assert not list(tmp_path.glob("*out.zip*"))
