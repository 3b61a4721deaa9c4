"""genre-app library as a program that others call: streams, exit codes and files."""

from __future__ import annotations

import json
import os
import signal
import sys

import mutagen
import pytest
from typer.testing import CliRunner

from genre_app.cli import build
from genre_app.sure import SureLimits


@pytest.fixture(autouse=True)
def _signals():
    """Keep the signals of the tests out of those of the command."""
    before = {one: signal.getsignal(one) for one in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    yield
    for one, handler in before.items():
        signal.signal(one, handler)


@pytest.fixture
def run(checkpoint, classified, monkeypatch):
    """Run the command with the tiny network, which is always sure; return exit code, stdout, stderr."""
    monkeypatch.setattr("genre_app.checkpoint.load_checkpoint", lambda name: checkpoint)
    monkeypatch.setattr(checkpoint, "sure", SureLimits(probability=0.0, margin=0.0))

    def call(*arguments) -> tuple[int, str, str]:
        result = CliRunner().invoke(build(), ["library", *map(str, arguments)])
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result.exit_code, result.stdout, result.stderr

    return call


def test_one_call_classifies_and_writes_what_is_asked_for(run, music, tmp_path, classified):
    (music / "bad.mp3").write_text("no music")
    outputs = ("--report", tmp_path / "r.html", "--m3u", tmp_path / "lists", "--csv", tmp_path / "t.csv")
    code, out, err = run(music, *outputs, "--format", "json")
    found = json.loads(out)
    assert (code, err) == (1, "")
    assert (found["files"], found["read"], found["classified"], found["failed"]) == (5, 5, 5, 1)
    assert sum(genre["sure"] for genre in found["genres"].values()) == 4
    assert list(found["errors"]) == ["bad.mp3"]
    assert (tmp_path / "r.html").read_text().startswith("<!doctype html>")
    assert len((tmp_path / "t.csv").read_text().splitlines()) == 6
    assert {path.stem for path in (tmp_path / "lists").iterdir()} == found["genres"].keys()
    code, out, _ = run(music)
    assert code == 0  # the failure was told in the first call
    assert "in this call: 0 read, 0 removed, 0 classified, 0 failed" in out
    assert len(classified) == 5


def test_tags_are_shown_then_written_then_restored(run, music):
    before = (music / "2.flac").read_bytes()
    code, out, _ = run(music, "--tags")
    lines = [line for line in out.splitlines() if " -> " in line]
    assert (code, len(lines)) == (0, 4)
    assert lines[0].startswith("2.flac: (none) -> ")
    assert (music / "2.flac").read_bytes() == before
    assert run(music, "--write-tags")[1].count(" -> ") == 4
    assert f"2.flac: (none) -> {mutagen.File(music / '2.flac')['genre'][0]}" == lines[0]
    assert "0 read, 0 removed, 0 classified" in run(music, "--tags")[1]
    code, out, _ = run(music, "--undo", "--format", "json")
    assert [change["new"] for change in json.loads(out)["tags"]] == [[]] * 4
    assert "genre" not in mutagen.File(music / "2.flac")


def test_wrong_use_is_a_sentence(run, music, tmp_path, monkeypatch):
    for arguments, reason in (
        ((tmp_path / "none",), "is not a folder"),
        ((music, "--undo", "--tags"), "give it without"),
        ((music, "--catalogue", music / "2.flac"), "not a database"),
        ((music, "--report", tmp_path / "none/r.html"), "No such file"),
    ):
        code, out, err = run(*arguments)
        assert (code, out) == (2, "")
        assert reason in err
        assert err.count("\n") == 1
    monkeypatch.setitem(sys.modules, "mutagen", None)
    code, _, err = run(music, "--tags")
    assert code == 2
    assert "pip install genre-app[tags]" in err


def test_the_engine_ray_needs_its_extra(run, music, monkeypatch):
    monkeypatch.setitem(sys.modules, "ray.data", None)
    code, out, err = run(music, "--engine", "ray")
    assert (code, out) == (2, "")
    assert err == "error: The engine ray needs the library Ray; install it with: pip install genre-app[ray]\n"


def test_ctrl_c_says_that_the_work_is_kept(run, music, monkeypatch, classified):
    def interrupted(tasks, work, here, crashed, processes, monitor):
        yield tasks[0], here(tasks[0])
        os.kill(os.getpid(), signal.SIGINT)
        yield tasks[1], here(tasks[1])

    with monkeypatch.context() as patch:
        patch.setattr("genre_app.library.classify.in_pool", interrupted)
        code, _, err = run(music)
    assert code == 1
    assert err == "error: stopped; what is done is kept, and the same command continues\n"
    assert run(music)[0] == 0
    assert len(classified) == 3
