"""Who may train; a stranger can change nothing."""

from __future__ import annotations

import os
from types import SimpleNamespace

import pytest

from genre_app.runs.run import runs_folder
from genre_app.runs.status import Status
from genre_app.ui import permission
from genre_app.ui.page import build_app
from genre_app.ui.train import data as train_data
from tests.hub import serve
from tests.pages import handler, named
from tests.ui.train.page import OWNER, STRANGER, TINY, act, arrive, begin, changed, looked


@pytest.mark.parametrize(
    ("environment", "profile", "allowed"),
    [
        ({}, None, True),
        ({"SPACE_ID": "ada/genres"}, None, False),
        ({"SPACE_ID": "ada/genres"}, STRANGER, False),
        ({"SPACE_ID": "ada/genres"}, OWNER, True),
        ({"SPACE_ID": "org/genres", "SPACE_AUTHOR_NAME": "ada"}, OWNER, True),
        ({"SPACE_ID": "ada/genres", "SPACE_AUTHOR_NAME": "org"}, OWNER, False),
        ({"SPACE_ID": "ada/genres", permission.SWITCH: "1"}, None, True),
        ({"SPACE_ID": "ada/genres", permission.SWITCH: "0"}, STRANGER, False),
        ({"SPACE_ID": "/genres"}, SimpleNamespace(username=""), False),
        ({"GRADIO_SERVER_NAME": "0.0.0.0"}, None, False),
        ({"GRADIO_SERVER_NAME": "192.168.1.7"}, OWNER, False),
        ({"GRADIO_SERVER_NAME": "music.example"}, None, False),
        ({"GRADIO_SERVER_NAME": "0.0.0.0", permission.SWITCH: "1"}, None, True),
        ({"GRADIO_SERVER_NAME": "127.0.0.1"}, None, True),
        ({"GRADIO_SERVER_NAME": "::1"}, None, True),
        ({"GRADIO_SERVER_NAME": "localhost"}, None, True),
        ({"GRADIO_SHARE": "True"}, None, False),
        ({permission.HOSTS: "music.example"}, None, False),
        ({permission.HOSTS: "music.example", permission.SWITCH: "1"}, None, True),
    ],
)
def test_who_may_train(monkeypatch, environment, profile, allowed):
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    refused = permission.refusal(profile)
    assert (refused is None) is allowed
    if not allowed:
        assert refused.count(".") >= 1
        assert "You can watch the runs" in refused
        with pytest.raises(permission.NotAllowedError):
            permission.check(profile)


@pytest.mark.usefixtures("_on_a_space")
def test_the_owner_uploads_a_run_with_their_own_account(app, make_run, tmp_path, monkeypatch):
    run = make_run("beats", Status.finished)
    monkeypatch.setenv("HF_TOKEN", "hf_of_the_space")
    monkeypatch.setattr("genre_app.runs.push._measured", lambda _: None)  # the run was written by hand
    push = handler(app, "run-push", "click").fn
    token = SimpleNamespace(token="hf_of_ada")
    with serve(monkeypatch, tmp_path / "cache") as hub:
        for profile, signed, sentence in [(STRANGER, token, "Only the Space"), (OWNER, None, "Sign in above first")]:
            assert sentence in list(push("beats", "ada/beats", profile, signed))[-1]
        assert "names no model of the hub" in list(push("beats", "beats", OWNER, token))[-1]
        assert hub.requests == []
        uploading, done = push("beats", "ada/beats", OWNER, token)
        assert "Uploading" in uploading
        assert "--checkpoint hub:ada/beats" in done
        (files,) = hub.commits["ada/beats"].values()
        assert hub.tokens == {"Bearer hf_of_ada"}
    assert files["model.safetensors"] == run.best.read_bytes()


def test_visitors_from_elsewhere_do_not_upload_with_the_account_of_the_machine(app, make_run, monkeypatch):
    make_run("beats", Status.finished)
    monkeypatch.setenv("GRADIO_SERVER_NAME", "0.0.0.0")
    monkeypatch.setenv(permission.SWITCH, "1")
    (said,) = handler(app, "run-push", "click").fn("beats", "ada/beats", None, None)
    assert "Upload from the machine that serves this page" in said


@pytest.mark.parametrize("repository", [None, "", " "])
def test_an_upload_needs_a_name(app, make_run, repository):
    make_run("beats", Status.finished)
    (said,) = handler(app, "run-push", "click").fn("beats", repository, None, None)
    assert "Write OWNER/NAME of the model" in said


@pytest.mark.usefixtures("_on_a_space")
def test_runs_of_a_space_are_kept_in_its_storage_or_the_page_says_that_they_are_not(app, tmp_path, monkeypatch):
    monkeypatch.setattr("genre_app.runs.run.SPACE_STORAGE", tmp_path / "data")
    assert "a restart deletes its runs" in arrive(app, profile=OWNER)["train-note"]
    assert "a restart deletes" not in arrive(app, profile=STRANGER)["train-note"]
    (tmp_path / "data").mkdir()
    assert "a restart deletes" not in arrive(app, profile=OWNER)["train-note"]
    monkeypatch.delenv("GENRE_APP_RUNS")
    assert runs_folder() == tmp_path / "data" / "runs"


@pytest.mark.usefixtures("_on_a_space")
def test_a_login_is_offered_only_where_it_works(monkeypatch):
    assert not permission.login_offered()
    monkeypatch.setenv("SYSTEM", "spaces")
    assert not permission.login_offered()
    monkeypatch.setenv("OAUTH_CLIENT_ID", "id")
    monkeypatch.setenv("OAUTH_CLIENT_SECRET", "secret")
    assert permission.login_offered()


@pytest.mark.usefixtures("_on_a_space")
@pytest.mark.parametrize("profile", [None, STRANGER])
def test_no_handler_changes_anything_for_a_stranger(app, told, make_run, tmp_path, profile):
    running, stopped = make_run("going", Status.running), make_run("over", Status.stopped)
    before = {path: path.read_bytes() for path in (tmp_path / "runs").rglob("*") if path.is_file()}
    plan, values = told
    zipped = tmp_path / "music.zip"
    zipped.write_bytes(b"PK")
    function = handler(app, "train-check", "click")
    for said in (
        named(handler(app, "train-upload", "upload").fn(str(zipped), profile))["train-upload-problem"],
        [named(update) for update in function.fn(values, profile)][-1]["plan"],
        begin(app, values, plan, profile)["plan"],
        act(app, "run-stop", running, profile=profile)["run-said"],
        act(app, "run-resume", stopped, profile=profile)["run-said"],
        act(app, "run-rename", stopped, profile, new_name="other")["run-unmanaged"],
        act(app, "run-really", stopped, profile, doomed="over")["run-unmanaged"],
    ):
        assert 'role="alert"' in said
        assert "Ada" in said or "owner" in said
    assert before == {path: path.read_bytes() for path in (tmp_path / "runs").rglob("*") if path.is_file()}
    arrived = arrive(app, profile=profile)
    assert "You can watch the runs" in arrived["train-note"]
    assert arrived["run-stop"].visible is False
    assert arrived["train-form"].visible is False
    assert arrived["run-changing"].visible is False
    assert len(arrived["runs"].value["data"]) == 2


@pytest.mark.usefixtures("_on_a_space")
def test_on_a_space_paths_are_refused_and_not_shown(bundled, cache, tmp_path):
    app = build_app()
    ids = {block.elem_id for block in app.blocks.values()}
    assert not {"set-split-file", "set-augment-waveform-background_folder"} & ids
    assert "needs a background_folder" in changed(app, **{"set-augment-waveform-background_probability": 0.5})["plan"]
    for source in (str(cache), "~", "../data", "/etc/hub:a/b"):
        end = looked(app, OWNER, **TINY, **{"train-source": source})[0][-1]
        assert "On a Space, music comes as a zip" in end["plan"], source
    uploads = tmp_path / "runs" / ".data" / "uploads"
    (uploads / "inner").mkdir(parents=True)
    (uploads / ".hidden").touch()
    for name in (str(cache), "..", ".hidden", "inner/../..", os.path.relpath(cache, uploads)):
        end = looked(app, OWNER, **TINY, **{"train-source": f"upload: {name}"})[0][-1]
        assert "The uploaded file is no longer here" in end["plan"], name
    assert train_data.resolve("hub:confit/gtzan") == "hub:confit/gtzan"
    assert "--data DATA" in changed(app, **{"train-source": "hub:a/b"})["train-command"]
