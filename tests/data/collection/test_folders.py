"""Files that a user has put beside the clips of a genre."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from genre_app.audio import Clip
from genre_app.data.collection import Collection
from genre_app.errors import DataError


def test_they_are_kept_when_a_genre_is_renamed_joined_or_removed(
    collection: Collection, make_clip: Callable[..., Clip]
) -> None:
    for seed, genre in enumerate(("dub", "ska")):
        collection.add(genre, make_clip(3.0, seed), origin="live")
    (collection.folder / "dub" / "cover.jpg").write_text("dub")
    (collection.folder / "dub" / "notes").mkdir()
    (collection.folder / "dub" / "notes" / "a.txt").write_text("mine")
    assert collection.rename_genre("dub", "jazz") == "jazz"
    assert collection.rename_genre("jazz", "JAZZ") == "JAZZ"
    assert collection.rename_genre("JAZZ", "ska") == "ska"
    assert [entry.name for entry in collection.folder.iterdir() if entry.is_dir()] == ["ska"]
    assert (collection.folder / "ska" / "cover.jpg").read_text() == "dub"
    assert (collection.folder / "ska" / "notes" / "a.txt").read_text() == "mine"

    collection.add_genre("dub")
    (collection.folder / "dub" / "cover.jpg").write_text("another")
    with pytest.raises(DataError, match=r"dub and ska both have a file cover\.jpg; rename one of the two first\."):
        collection.rename_genre("dub", "ska")
    with pytest.raises(
        DataError, match=r"The folder ska holds more than clips; move this out of it first: cover\.jpg, notes\."
    ):
        collection.remove_genre("ska")
    assert (collection.folder / "dub" / "cover.jpg").read_text() == "another"
    assert len(collection.read().genres["ska"]) == 2


def test_files_that_a_user_does_not_see_hinder_no_change(collection: Collection) -> None:
    for genre in ("dub", "ska"):
        collection.add_genre(genre)
        (collection.folder / genre / ".DS_Store").write_text(genre)
    assert collection.rename_genre("dub", "ska") == "ska"
    assert (collection.folder / "ska" / ".DS_Store").read_text() == "ska"
    assert collection.remove_genre("ska") == 0
    assert collection.read().genres == {}
