"""The check before Start, and data that cannot be used."""

from __future__ import annotations

import os
import re
import shutil
import sys
import time
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import gradio as gr
import numpy as np
import pytest
import soundfile

from genre_app.data.labelled import open_data
from genre_app.data.splits import SplitConfig
from genre_app.features import FeatureSpec
from genre_app.models import create_model
from genre_app.runs import run as runs
from genre_app.runs.request import Request
from genre_app.runs.run import list_runs
from genre_app.runs.search.search import Search, SearchFolder
from genre_app.runs.status import Status
from genre_app.ui.train import data as train_data
from tests.pages import handler, named
from tests.ui.train.page import TINY, begin, changed, looked, values_of, with_fields


def genres(folder: Path, **counts: int) -> Path:
    for genre, count in counts.items():
        (folder / genre).mkdir(parents=True)
        for number in range(count):
            noise = np.random.default_rng([len(genre), number]).normal(0, 0.1, 22050)
            soundfile.write(folder / genre / f"{number}.wav", noise, 22050)
    return folder


def test_the_plan_is_shown_before_start(app, cache):
    shown, _ = looked(app, **TINY, **{"train-source": str(cache)})
    assert shown[0]["train-check"].interactive is False
    assert any("Looking at the data" in update.get("plan", "") for update in shown)
    end = shown[-1]
    text = re.sub(r"\s+", " ", re.sub("<[^>]+>", " ", end["plan"]))
    assert "high 6 2 low 6 2 all 12 4" in text
    # 60 columns, segments of 26 columns every 13: starts 0, 13, 26 and the right-aligned 34.
    assert "48 training, 16 validation" in text
    assert "24 segments in 3 steps" in text
    spec = FeatureSpec(n_mels=32, segment_seconds=2, segment_hop_seconds=1)
    settings = {"channels": [4, 8], "pools": [[4, 2], [4, 4]]}
    network = create_model("cnn", n_bins=32, n_frames=spec.segment_frames, n_genres=2, settings=settings)
    assert f"cnn, {sum(p.numel() for p in network.parameters()):,} parameters" in text
    assert re.search(r"about \d+ s for 3 epochs on", text)
    assert "Split by the data&#x27;s own split" in text
    assert end["train-start"].interactive is True


def test_a_checkpoint_that_does_not_fit_is_refused_before_start(app, bundled, cache):
    end = looked(app, **TINY, **{"train-source": str(cache), "set-init_from": "default"})[0][-1]
    assert "choose a checkpoint with one network that fits" in end["plan"] or "choose one that was trained with" in end["plan"]
    assert end["State"].plan is None  # and so nothing to start


def test_start_makes_a_run_of_exactly_what_was_asked(app, cache, told, monkeypatch):
    begun = []
    monkeypatch.setattr("genre_app.runs.zerogpu.launch.start", begun.append)
    plan, values = told
    shown = begin(app, values, plan)
    (run,) = list_runs()
    assert begun == [run]
    assert run.name == "lstm-1"
    config = run.description().config
    assert (config.epochs, config.batch_size, config.model_settings["channels"]) == (3, 8, [4, 8])
    request = run.description().request
    assert (request.data, request.columns, request.threads) == (str(cache), "data", 1)
    assert run.name in shown["run-chosen"]
    assert "lstm-1</b> has been started" in shown["plan"]  # true after the end too
    assert begin(app, values, plan)["run-chosen"] == "lstm-2"


def test_time_follows_the_epochs_and_other_changes_ask_for_another_look(app, told):
    plan, values = told
    function = handler(app, "train-typed", "click")
    state = next(block for block in values if isinstance(block, gr.State))
    longer = named(function.fn(with_fields(values, **{"set-epochs": 300}) | {state: plan}))
    request = next(one.fn.__self__ for one in app.fns.values() if one.name == "fit").request
    (form,) = [value for block, value in values.items() if block.elem_id == "train-values"]
    longest = plan.plan.of(request(form | {"set-epochs": 300}))
    assert longest.seconds == pytest.approx(100 * plan.plan.seconds)
    assert "for 300 epochs" in longer["plan"]
    assert longer["train-start"].interactive is True
    for name, value in (("set-batch_size", 16), ("set-seed", 1), ("train-source", "/elsewhere")):
        other = with_fields(values, **{name: value})
        said = named(function.fn(other | {state: plan}))
        assert "check again" in said["plan"]
        assert said["train-start"].interactive is False
        assert "check again" in begin(app, other, plan)["plan"]
    assert list_runs() == []
    assert "check again" in begin(app, values, None)["plan"]


def test_a_plan_of_an_older_form_is_never_shown_last(app, cache, told):
    """The form changed while its check went on; a second event answers after the first has been answered."""
    changes = {**TINY, "train-source": str(cache)}
    (change,) = [function for function in app.fns.values() if function.name == "change"]
    assert change.trigger_mode == "always_last"
    fills = {function.name for function in app.fns.values() if {*function.outputs} & {*change.outputs[:2]}}
    assert fills == {"change", "look", "begin", "<lambda>"}
    check = handler(app, "train-check", "click")
    values = values_of(app, check, **changes)
    going, *_, end = map(named, check.fn(values, None))
    meanwhile = changed(app, going["State"], **changes | {"set-batch_size": 16})
    assert "batch_size=16" in meanwhile["train-command"]
    assert not {"plan", "train-start", "train-check"} & {*meanwhile}, "the progress stays"
    assert "for 3 epochs" not in end.get("plan", "")
    after = changed(app, end["State"], **changes | {"set-batch_size": 16})
    assert "check again" in after["plan"]
    assert not after["train-start"].interactive
    assert "for 3 epochs" in changed(app, end["State"], **changes)["plan"]


def test_what_start_says_stays_until_the_form_changes(app, cache, told, monkeypatch):
    monkeypatch.setattr("genre_app.runs.zerogpu.launch.start", lambda run: None)
    checked, values = told
    state = begin(app, values, checked)["State"]
    changes = {**TINY, "train-source": str(cache)}
    same = changed(app, state, **changes, **{"set-name": "next"})
    assert "has been started" in same["plan"]
    assert not same["train-start"].interactive
    assert "check again" in changed(app, state, **changes | {"set-epochs": 9})["plan"]
    taken = begin(app, with_fields(values, **{"set-name": "lstm-1"}), checked)
    assert "already a run" in taken["plan"]
    assert changed(app, taken["State"], **changes)["train-start"].interactive, "another name can be started"


def test_unusable_data_end_in_a_sentence(app, tmp_path):
    (tmp_path / "empty").mkdir()
    for source, words in (
        ("", "Say where the music is"),
        (str(tmp_path / "nowhere"), "There is no"),
        (str(tmp_path / "empty"), "has no audio files in genre folders"),
        (str(genres(tmp_path / "one", jazz=3)), "has only one genre, jazz"),
        (str(genres(tmp_path / "few", jazz=3, rock=1)), "fewer than 2 tracks of rock"),
        ("upload: ../../etc/passwd", "no longer here"),
    ):
        end = looked(app, **TINY, **{"train-source": source})[0][-1]
        assert words in end["plan"], source
        assert 'role="alert"' in end["plan"]
        assert end["train-check"].interactive is True


def test_a_hostile_zip_ends_in_a_sentence_on_the_page_and_writes_nothing(app, tmp_path):
    path = tmp_path / "evil.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("../../escaped.wav", b"RIFF")
        archive.writestr("jazz/a.wav", b"RIFF")
    token = named(handler(app, "train-upload", "upload").fn(str(path), None))["train-source"]
    assert token.startswith("upload: ")
    end = looked(app, **TINY, **{"train-source": token})[0][-1]
    assert "escaped.wav" in end["plan"]
    assert 'role="alert"' in end["plan"]
    assert not list(tmp_path.rglob("escaped.wav"))


def test_an_uploaded_zip_is_kept_once_for_each_content(app, tmp_path):
    folder = genres(tmp_path / "music", jazz=3, reggae=3)
    path = tmp_path / "music.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for file in sorted(folder.rglob("*.wav")):
            archive.write(file, file.relative_to(folder))
    upload = handler(app, "train-upload", "upload").fn
    token = named(upload(str(path), None))["train-source"]
    assert named(upload(str(path), None))["train-source"] == token
    path.unlink()  # as the page does after a while
    end = looked(app, **TINY | {"set-columns": "recipe"}, **{"train-source": token})[0][-1]
    assert "Split at random by track" in end["plan"], end["plan"]
    bad = tmp_path / "music.rar"
    bad.write_bytes(b"Rar!")
    refused = named(upload(str(bad), None))
    assert "neither a zip" in refused["train-upload-problem"]
    assert refused["train-upload"] is None  # so that another file can be dropped
    first = looked(app, **TINY, **{"train-source": token})[0][0]
    assert first["train-upload-problem"] == ""  # the message does not outlive the next check


def zipped(path: Path, seed: int, source: Path) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for file in sorted(source.rglob("*.wav")):
            archive.write(file, file.relative_to(source))
        archive.writestr("seed.txt", str(seed))
    return path


@pytest.fixture
def uploaded(app, tmp_path):
    """Upload and prepare a different zip for each number; return the text of the field and the files that were made."""
    folder, work = genres(tmp_path / "music", jazz=2, reggae=2), runs.work_folder()

    def upload(number: int) -> tuple[str, set[Path]]:
        before = set(work.glob("*"))
        path = zipped(tmp_path / f"{number}.zip", number, folder)
        token = named(handler(app, "train-upload", "upload").fn(str(path), None))["train-source"]
        kept = Path(train_data.resolve(token))
        open_data(kept, FeatureSpec(segment_seconds=1, segment_hop_seconds=1), SplitConfig(), seed=0, work=work, processes=1)
        made = {entry for entry in set(work.glob("*")) - before if entry.is_dir() and entry.name != "uploads"}
        assert {entry.name[:4] for entry in made} == {"zip-", "mel-"}
        return token, {kept, *made}

    return upload


def age(*paths: Path, hours: float) -> None:
    for path in paths:
        os.utime(path, (time.time() - hours * 3600,) * 2)


def test_unused_uploads_are_removed_with_what_was_made_of_them(uploaded, make_run):
    (_, old), (_, recent), (used, looked_at) = (uploaded(number) for number in range(3))
    (_, of_run), (_, of_other) = uploaded(3), uploaded(4)
    make_run("mine", Status.stopped, data=str(next(path for path in of_run if path.is_file())))
    make_run("other", Status.failed, data=str(next(path for path in of_other if path.name.startswith("mel-"))))
    age(*old, *of_run, *of_other, *looked_at, hours=25)
    age(*recent, hours=23)
    train_data.resolve(used)
    work = runs.work_folder()
    (work / "hub-ada--music").mkdir()
    (work / "uploads" / "**********-x").touch()
    age(work / "hub-ada--music", work / "uploads" / "**********-x", hours=99)
    others = {*work.iterdir(), *(work / "uploads").iterdir()} - old
    uploaded(5)
    assert not [path for path in old if path.exists()]
    assert all(path.exists() for path in others)
    assert not list(work.glob(".*deleted"))


def test_uploads_stay_while_a_run_is_active(uploaded, make_run):
    _, old = uploaded(0)
    age(*old, hours=25)
    make_run("busy", Status.paused)
    uploaded(1)
    assert all(path.exists() for path in old)


def test_uploads_stay_while_a_search_is_active(uploaded, tmp_path):
    _, old = uploaded(0)
    age(*old, hours=25)
    search = Search.of(Request(recipe="cnn", data="/music"), 5)
    SearchFolder.create(tmp_path / "runs" / "tuned", search).record_process()
    uploaded(1)
    assert all(path.exists() for path in old)


def test_two_uploads_of_one_file_at_the_same_time_are_kept(app, tmp_path, monkeypatch):
    path = tmp_path / "music.zip"
    path.write_bytes(b"PK")
    link = Path.hardlink_to

    def slowly(part: Path, file: Path) -> None:
        link(part, file)
        time.sleep(0.3)

    monkeypatch.setattr(Path, "hardlink_to", slowly)
    upload = handler(app, "train-upload", "upload").fn
    with ThreadPoolExecutor(2) as pool:
        first, second = (named(shown)["train-source"] for shown in pool.map(upload, [str(path)] * 2, [None] * 2))
    assert first == second
    assert Path(train_data.resolve(first)).read_bytes() == b"PK"


@pytest.mark.skipif(sys.platform == "win32", reason="links need a privilege there")
@pytest.mark.parametrize("linked", ["the work folder", "its uploads", "what was made", "the file"])
def test_files_behind_links_are_not_removed(uploaded, tmp_path, linked):
    _, old = uploaded(0)
    age(*old, hours=25)
    (file,), folders = [path for path in old if path.is_file()], [path for path in old if path.is_dir()]
    work = runs.work_folder()
    (tmp_path / "elsewhere").mkdir()
    moved = {"the work folder": [work], "its uploads": [work / "uploads"], "what was made": folders, "the file": [file]}[linked]
    for path in moved:
        shutil.move(path, tmp_path / "elsewhere" / path.name)
        path.symlink_to(tmp_path / "elsewhere" / path.name)
    files = set((tmp_path / "elsewhere").rglob("*"))
    uploaded(1)
    assert all(path.is_symlink() for path in moved)
    assert files <= set((tmp_path / "elsewhere").rglob("*"))
