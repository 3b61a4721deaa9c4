"""A run in a folder that the user has named, by --out or a file manager, with letters that the page gives to no run."""

from __future__ import annotations

import os
import sys

import orjson
import pytest

from genre_app.runs.status import Status
from genre_app.ui import service
from tests.pages import handler, named
from tests.ui.train.page import act, arrive, words

NAMES = ["my run", "Gänsehaut", "-x", "a..b", "x" * 80, "a+b, c & d", "(1)"]


@pytest.mark.parametrize("name", NAMES)
def test_what_the_page_lists_it_opens(app, bundled, make_run, name):
    run = make_run(name, Status.finished)
    shown = arrive(app)
    assert shown["runs"].value["data"][0][0] == name
    assert "3 of 4 right" in words(shown["run-report"])
    used = named(handler(app, "run-use", "click").fn(name, None))
    assert used["Checkpoint"].value == [f"run: {name}"]
    assert service.checkpoint_named([f"run: {name}"]).name == f"run: {name}"
    assert service.checkpoint_named(f"run: {name}").name == f"run: {name}"
    assert act(app, "run-rename", run, new_name="other")["run-chosen"] == "other"


def test_names_of_runs_never_become_paths(make_run, tmp_path):
    run = make_run("it", Status.finished)
    (tmp_path / "runs" / ".hidden").symlink_to(run.path)
    for name in ("", ".", "..", ".hidden", "../runs/it", "it/", "./it", "it/../it", str(run.path), "it\0", "\ud800", "x" * 999):
        with pytest.raises(service.RequestError, match="There is no checkpoint"):
            service.checkpoint_named([f"run: {name}"])


@pytest.mark.skipif(sys.platform != "linux", reason="names of files are bytes on Linux only")
def test_a_folder_whose_name_is_no_text_is_named_and_the_others_are_shown(app, make_run, tmp_path):
    make_run("it", Status.finished)
    make_run("other", Status.finished).path.rename(tmp_path / "runs" / os.fsdecode(b"m\xfcller"))
    shown = arrive(app)
    assert [row[0] for row in shown["runs"].value["data"]] == ["it"]
    assert words(shown["runs-damaged"]).endswith("m\ufffdller has a name that is not UTF-8; rename this folder to see its run.")
    orjson.dumps([shown["runs"].value, shown["runs-damaged"], shown["run-head"]])
    assert service.checkpoint_choices()[-1] == "run: it"
    search = tmp_path / "runs" / os.fsdecode(b"s\xfcche")
    search.mkdir()
    (search / "search.json").write_text("{}")
    assert words(arrive(app)["runs-damaged"]).endswith(" 1 more cannot be read.")
