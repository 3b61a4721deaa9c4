"""What a visitor does with runs, checkpoints and presets."""

from __future__ import annotations

import os
import time
from pathlib import Path

import gradio as gr
import numpy as np
import pytest
import soundfile

from genre_app.checkpoint import save_checkpoint
from genre_app.errors import CheckpointError
from genre_app.runs.run import list_runs
from genre_app.runs.status import Status
from genre_app.ui import service
from tests.pages import handler, named
from tests.ui.train.page import act, arrive, record, words


def test_two_runs_beside_each_other(app, make_run):
    make_run("one", Status.finished, "batch_size=16")
    make_run("two", Status.stopped, "augment=noise", init_from="/runs/first/best.safetensors")
    compared = named(handler(app, "run-other", "input").fn("one", "two"))
    text = words(compared["run-compared"])
    assert "one two" in text
    assert "accuracy 3 of 4, 75.0 %, 95 % interval 30.0 % to 95.0 % 4 of 4 validation tracks" in text
    assert "batch_size 16 64" in text
    assert "augment.mild.white_noise_probability 0.0 1.0" in text
    assert "init-from first/best.safetensors" in text
    assert "learning_rate" not in text
    # A long name may break between its words only.
    assert "augment.<wbr>mild.<wbr>white_<wbr>noise_<wbr>probability" in compared["run-compared"]
    assert compared["compared-loss"].visible is True
    assert named(handler(app, "run-other", "input").fn("one", ""))["run-compared"] == ""


def test_a_comparison_follows_the_other_run(app, make_run):
    make_run("over", Status.finished)
    other = make_run("going", Status.running)
    known = arrive(app, "over", "going")["run-shown"]
    assert "run-compared" not in arrive(app, "over", "going", known)
    record(other, {"event": "epoch", "epoch": 5, "valid_accuracy": 0.25, "best": True, "time": time.time() + 60.0})
    assert "1 of 4 validation tracks" in words(arrive(app, "over", "going", known)["run-compared"])


def test_a_comparison_tells_visitors_from_elsewhere_no_folders(app, make_run, monkeypatch):
    make_run("one", Status.finished, "split.file=/home/ada/split.csv")
    make_run("two", Status.finished, "augment.waveform.room_folder=/home/ada/rooms", data="/home/ada/music")
    compare = handler(app, "run-other", "input").fn
    assert "split.file /home/ada/split.csv" in words(named(compare("one", "two"))["run-compared"])
    monkeypatch.setenv("GRADIO_SERVER_NAME", "0.0.0.0")
    text = words(named(compare("one", "two"))["run-compared"])
    assert "split.file split.csv" in text
    assert "/home" not in text


def test_a_run_that_goes_away_is_not_compared(app, make_run, monkeypatch):
    one, gone = make_run("one", Status.finished), make_run("gone", Status.stopped)
    gone.delete()
    monkeypatch.setattr("genre_app.ui.train.snapshot.list_runs", lambda **_: [one, gone])  # listed, and deleted after that
    assert named(handler(app, "run-other", "input").fn("one", "gone"))["run-compared"] == ""


def test_names_from_folders_are_escaped(app, make_run):
    make_run("it", Status.failed, data="<script>alert(1)</script>")
    make_run("other", Status.stopped)
    run = next(run for run in list_runs() if run.name == "it")
    record(run, {"event": "failed", "message": "<script>alert(2)</script>"})
    shown = arrive(app, "it", "other")
    assert "<script" not in shown["run-head"] + shown["run-compared"]


def test_stop_asks_the_process_to_stop(app, make_run):
    run = make_run("it", Status.running)
    shown = act(app, "run-stop", run)
    assert run.should_stop
    assert "Stopping after the current step" in shown["run-head"]
    over = make_run("over", Status.finished)
    act(app, "run-stop", over)
    assert not over.should_stop


def test_resume_starts_the_run_again(app, make_run, monkeypatch):
    begun = []
    monkeypatch.setattr("genre_app.runs.zerogpu.launch.start", begun.append)
    run = make_run("it", Status.died)
    assert act(app, "run-resume", run)["run-said"] == ""
    assert begun == [run]


def test_a_run_is_renamed_or_the_page_says_why_not(app, make_run):
    run = make_run("it", Status.stopped)
    make_run("taken", Status.stopped)
    # The error is under the button that was pressed, and nowhere else.
    said = act(app, "run-rename", run, new_name="taken")
    assert "already" in said["run-unmanaged"]
    assert said["run-said"] == ""
    assert "cannot name a run" in act(app, "run-rename", run, new_name="../../up")["run-unmanaged"]
    shown = act(app, "run-rename", run, new_name="better")
    assert "better" in shown["run-head"]
    assert shown["run-unmanaged"] == ""
    assert {run.name for run in list_runs()} == {"better", "taken"}
    going = make_run("going", Status.running)
    said = act(app, "run-rename", going, new_name="else")
    assert "stop it first" in said["run-said"]  # the button is hidden by now
    assert said["run-unmanaged"] == ""


def test_an_error_stands_under_its_button(app):
    places = {block.elem_id: block for block in app.blocks.values()}
    assert within(places["run-unmanaged"], "run-manage")
    # In the order of the page: buttons, why not, charts; and rename, delete, why not.
    order = list(places)
    assert order.index("run-use") < order.index("run-said") < order.index("plot-loss")
    assert order.index("run-really") < order.index("run-unmanaged")


def within(block, elem_id: str) -> bool:
    """Whether a block lies in another one."""
    return block is not None and (block.elem_id == elem_id or within(block.parent, elem_id))


def test_a_run_is_deleted_only_after_a_question_about_it(app, make_run):
    run, other = make_run("it", Status.stopped), make_run("other", Status.finished)
    sure, doomed, question, said = handler(app, "run-delete", "click").fn("it")
    assert sure.visible is True
    assert said == ""
    assert "<b>it</b>" in question
    assert "press Delete again" in act(app, "run-really", other, doomed=doomed)["run-unmanaged"]
    assert "press Delete again" in act(app, "run-really", run, doomed="")["run-unmanaged"]
    assert len(list_runs()) == 2
    shown = act(app, "run-really", run, doomed=doomed)
    assert list_runs() == [other]
    assert "other" in shown["run-head"]
    going = make_run("going", Status.running)
    assert "stop it first" in act(app, "run-really", going, doomed="going")["run-said"]
    assert "There is no run" in act(app, "run-really", run, doomed="it")["run-said"]  # the run that is shown instead is active


def test_downloads_are_the_runs_own_files(app, make_run, monkeypatch):
    run = make_run("it", Status.finished)
    shown = arrive(app)
    path = Path(shown["Download checkpoint"].value["path"])
    assert path.name == "it.safetensors"
    assert path.read_bytes() == run.best.read_bytes()
    assert Path(shown["Download model card"].value["path"]).read_text() == "# A card"
    # On a full disk, the rest of the panel is there.
    monkeypatch.setattr("genre_app.ui.train.refresh.download_file", lambda *_: (run.path / "no space").stat())
    shown = arrive(app)
    assert shown["Download checkpoint"].visible is False
    assert "finished" in shown["run-head"]


def test_a_runs_checkpoint_is_used_without_a_restart(app, bundled, make_run, make_checkpoint, make_clip, tmp_path):
    clip = make_clip(6.0)
    soundfile.write(tmp_path / "song.wav", clip.samples, clip.sample_rate)
    song = str(tmp_path / "song.wav")
    run = make_run("mine", Status.finished)
    assert service.checkpoint_choices() == ["default", "run: mine"]
    checkpoint, options, tabs = (
        named(handler(app, "run-use", "click").fn("mine", None))[name] for name in ("Checkpoint", "Options", "Tabs")
    )
    assert checkpoint.value == ["run: mine"]
    assert ("run: mine", "run: mine") in checkpoint.choices
    assert options.open is True
    assert tabs.selected == "Classify"
    # A loaded clip is classified with the new checkpoint at once.
    function = next(function for function in app.fns.values() if function.name == "classified_if")
    view = {"width": 700, "pixel_ratio": 1, "dark": False}
    _, vote, _ = (named(update) for update in function.fn(song, ["run: mine"], "mean", "trained", view, None, None, True))
    assert vote["State"].prediction.checkpoint == "run: mine"
    for path, wanted in ((None, True), (song, False)):
        (nothing,) = function.fn(path, ["run: mine"], "mean", "trained", view, None, None, wanted)
        assert list(nothing.values()) == [gr.skip()]
    assert named(handler(app, "run-use", "click").fn("gone", None))["Checkbox"] is False
    first = service.answer(song, checkpoint="run: mine").prediction
    assert first.checkpoint == "run: mine"
    save_checkpoint(make_checkpoint(seed=3), run.best)
    os.utime(run.best, ns=(1, 1))  # another time stamp, however fast the test is
    second = service.answer(song, checkpoint="run: mine").prediction
    assert not np.allclose(first.probabilities, second.probabilities)
    run.rename("renamed")
    with pytest.raises(service.RequestError, match="no checkpoint 'run: mine'"):
        service.answer(song, checkpoint="run: mine")
    # A tab in which a renamed run was chosen falls back to the default checkpoint.
    refreshed = [function for function in app.fns.values() if ("Classify", "select") in targets(app, function)]
    (kept,) = [function.fn(["run: renamed"], None) for function in refreshed if len(function.inputs) == 2]
    with pytest.warns(UserWarning, match="run: mine is no longer offered, so default answers from now on"):
        (gone,) = [function.fn(["run: mine"], None) for function in refreshed if len(function.inputs) == 2]
    assert (kept.value, gone.value) == (["run: renamed"], ["default"])
    assert [value for value, _ in gone.choices] == ["default", "run: renamed"]


def targets(app, function) -> list[tuple[str, str]]:
    return [(getattr(app.blocks.get(block), "label", ""), event) for block, event in function.targets]


@pytest.mark.parametrize("name", ["run: going", "run: ../runs/over", "run: ", "run: /etc/passwd", "yours: x", "/etc/passwd"])
def test_only_listed_runs_that_are_over_can_be_named(bundled, make_run, name):
    going = make_run("going", Status.running)
    save = make_run("over", Status.stopped).best
    going.best.write_bytes(save.read_bytes())
    with pytest.raises(service.RequestError, match="There is no checkpoint"):
        service.checkpoint_named(name)


def test_the_api_takes_a_run_by_name(app, make_run):
    make_run("mine", Status.finished)
    endpoint = next(function for function in app.fns.values() if function.api_name == "classify")
    dropdown = next(block for block in endpoint.inputs if block.label == "Checkpoint")
    assert dropdown.preprocess("run: mine") == "run: mine"


def test_a_visitors_own_checkpoint_is_theirs_alone(app, bundled, make_checkpoint, tmp_path):
    path = tmp_path / "theirs.safetensors"
    save_checkpoint(make_checkpoint(seed=5), path)
    own, dropdown, remark = handler(app, "Use a checkpoint of your own", "upload").fn(str(path))
    assert own == str(path)
    assert dropdown.value == ["yours: theirs.safetensors"]
    assert "10 genres" in remark
    assert service.checkpoint_named("yours: theirs.safetensors", own).name == "yours: theirs.safetensors"
    with pytest.raises(service.RequestError, match="There is no checkpoint"):
        service.checkpoint_named("yours: theirs.safetensors")
    path.unlink()
    with pytest.raises(CheckpointError, match="no longer here"):
        service.checkpoint_named("yours: theirs.safetensors", own)


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("model.pt", b"PK\x03\x04" + bytes(99), "can run code and are not opened"),
        ("model.pkl", b"\x80\x04" + bytes(99), "is a pickle"),
        ("model.safetensors", b"\x10" + bytes(99), "not a safetensors file"),
        ("empty.safetensors", b"", "is empty"),
    ],
)
def test_other_files_are_no_checkpoints(app, tmp_path, name, content, said):
    path = tmp_path / name
    path.write_bytes(content)
    _, _, remark = handler(app, "Use a checkpoint of your own", "upload").fn(str(path))
    assert said in remark
    assert name in remark
    assert str(tmp_path) not in remark
    assert 'role="alert"' in remark


def test_a_visitors_checkpoint_has_a_largest_size(app, tmp_path):
    path = tmp_path / "large.safetensors"
    with path.open("wb") as file:
        file.truncate(service.MAX_BYTES + 1)
    assert "100 MB are more than" in handler(app, "Use a checkpoint of your own", "upload").fn(str(path))[2]


def test_a_preset_is_heard_before_and_after(app, tmp_path):
    hear = handler(app, "Before and after", "click").fn
    before, after, said, number = hear("noise", "blues", None, 0)
    plain, rate = soundfile.read(before.value["path"] if isinstance(before.value, dict) else before.value)
    noisy, _ = soundfile.read(after.value["path"] if isinstance(after.value, dict) else after.value)
    assert number == 1
    assert "Gaussian noise" in said
    assert len(plain) == 10 * rate
    assert 0.0005 < np.std(noisy - plain) < 0.02
    bad = tmp_path / "bad.wav"
    bad.write_text("no music")
    for path, reason in ((str(bad), "not an audio file"), (None, "Choose a file")):
        assert reason in hear("noise", "your clip", path, 0)[2]
