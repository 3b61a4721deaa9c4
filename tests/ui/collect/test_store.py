"""Which collection a visitor uses, at home and on a public page."""

from __future__ import annotations

import os
import time

import pytest

from genre_app.errors import DataError
from genre_app.files import temporary_folder
from genre_app.ui.collect import store


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("GENRE_APP_COLLECTIONS", str(tmp_path / "collections"))
    return tmp_path / "collections"


@pytest.fixture
def space(tmp_path, monkeypatch):
    """A public Space, whose temporary folder is empty."""
    monkeypatch.setenv("SPACE_ID", "somebody/genre-app")
    monkeypatch.setattr("tempfile.gettempdir", lambda: str(tmp_path))
    return tmp_path


def test_at_home_there_are_named_collections(home):
    assert store.collection_names() == ["my-music"]
    assert store.collection_of(None).folder == home / "my-music"
    assert store.choose("  Bar  band ") == "Bar band"
    assert store.collection_names() == ["Bar band", "my-music"]
    assert store.collection_of("any").folder == home / "Bar band"  # it was used last
    store.collection_of(None, "my-music").add_genre("dub")
    os.utime(home / "Bar band", (0, 0))
    assert store.last_used() == "my-music"
    assert store.choose("bar BAND") == "Bar band"
    assert store.last_used() == "Bar band"


@pytest.mark.parametrize(
    "name", ["../etc", "a/b", "..", ".hidden", "", " ", "a\\b", "/", "x" * 65, "CON", "a.", "a\0b", "~/x:y"]
)
def test_a_name_is_one_part_of_a_path(home, name):
    with pytest.raises(DataError):
        store.choose(name)
    if name.strip():
        with pytest.raises(DataError):
            store.collection_of(None, name)
    assert not home.exists()


def test_a_folder_of_another_user_holds_no_visitors_collections(space):
    temporary_folder("sessions").chmod(0o777)
    with pytest.raises(DataError, match="not a folder of yours alone") as caught:
        store.collection_of("first")
    assert str(space) not in str(caught.value)  # visitors do not see the server's folders


@pytest.mark.parametrize("variable", [("SPACE_ID", "somebody/genre-app"), ("GRADIO_SERVER_NAME", "0.0.0.0")])
def test_two_visitors_of_a_public_page_see_nothing_of_each_other(home, space, monkeypatch, variable):
    monkeypatch.delenv("SPACE_ID")
    monkeypatch.setenv(*variable)
    store.collection_of("first").add_genre("dub")
    assert list(store.collection_of("second", "my-music").read().genres) == []
    assert list(store.collection_of("first", "../other").read().genres) == ["dub"]
    assert store.collection_of("first").limits == store.SESSION_LIMITS
    assert not home.exists()
    with pytest.raises(DataError, match="one collection"):
        store.choose("mine")
    for nobody in (None, ""):
        with pytest.raises(DataError, match="no session"):
            store.collection_of(nobody)


def test_a_session_cannot_name_a_folder(space):
    folder = store.collection_of("../../../etc").folder
    assert folder.is_relative_to(space)
    assert ".." not in folder.parts


def test_the_collection_ends_after_its_session_and_others_stay(space, monkeypatch):
    first, second = store.collection_of("first"), store.collection_of("second")
    first.add_genre("dub")
    store.end_session("first")
    store.end_session(None)
    store.delete_stale_sessions()
    assert list(first.read().genres) == ["dub"]  # a phone that slept may come back
    later = time.time() + store.GRACE_SECONDS + 1
    monkeypatch.setattr(store.time, "time", lambda: later)
    store.delete_stale_sessions()
    assert not first.folder.parent.exists()
    assert second.folder.exists()
    assert store.collection_of("first").read().genres == {}


def test_a_visitor_who_comes_back_in_time_keeps_the_collection(space, monkeypatch):
    folder = store.collection_of("first").folder
    store.end_session("first")
    store.collection_of("first")
    later = time.time() + store.GRACE_SECONDS + 1
    monkeypatch.setattr(store.time, "time", lambda: later)
    store.delete_stale_sessions()
    assert folder.exists()


def test_a_collection_that_nobody_uses_is_deleted_and_one_in_use_stays(space, monkeypatch):
    stale, used = store.collection_of("stale").folder, store.collection_of("used").folder
    old = time.time() - store.STALE_SECONDS - 1
    for folder in (stale, used):
        os.utime(folder, (old, old))
    store.collection_of("used")
    store.delete_stale_sessions()
    assert (stale.exists(), used.exists()) == (False, True)


def test_the_number_of_visitors_collections_is_bounded(space, monkeypatch):
    monkeypatch.setattr(store, "MAX_SESSIONS", 2)
    store.collection_of("a")
    store.collection_of("b")
    store.collection_of("a")
    with pytest.raises(DataError, match="Too many visitors"):
        store.collection_of("c")
    os.utime(store.collection_of("a").folder, (0, 0))
    store.collection_of("c")


def test_a_named_collection_at_home_stays_when_a_visitor_leaves(home):
    store.collection_of("first").add_genre("dub")
    store.end_session("first")
    store.delete_stale_sessions()
    assert list(store.collection_of("first").read().genres) == ["dub"]
