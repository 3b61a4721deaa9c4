"""The Train tab without a browser: its form, who may use it, its runs in every state, and what it does to them."""

from __future__ import annotations

import json
import os
import re
import shlex
import time
import zipfile
from pathlib import Path
from types import SimpleNamespace

import gradio as gr
import numpy as np
import psutil
import pytest
import soundfile

from genre_app.checkpoint import CheckpointError, save_checkpoint
from genre_app.features import FeatureSpec
from genre_app.models import create_model
from genre_app.training.recipes import read_recipe, recipe_names
from genre_app.training.runs import Request, Run, Status, list_runs
from genre_app.ui import permission, service, train_data, train_view
from genre_app.ui.page import build_app
from genre_app.ui.train_fields import OF_RECIPE, explain, form_fields, of_table, settings_of, shown, table_rows
from genre_app.ui.train_journal import briefs, snapshot
from tests.bands import write_bands
from tests.pages import handler, named

OWNER = SimpleNamespace(username="Ada")
STRANGER = SimpleNamespace(username="mallory")
TINY = {
    "set-model_settings": "channels = [4, 8]\npools = [[4, 2], [4, 4]]",
    "set-spec-segment_seconds": 2,
    "set-spec-segment_hop_seconds": 1,
    "set-epochs": 3,
    "set-segments_per_track": 2,
    "set-batch_size": 8,
    "set-precision": "float32",
    "Columns": "data",
    "CPU threads": 1,
}


@pytest.fixture(scope="module")
def app(bundled):
    return build_app()


@pytest.fixture(autouse=True)
def _at_home(tmp_path, monkeypatch):
    for name in ("SPACE_ID", "SPACE_AUTHOR_NAME", "SPACES_ZERO_GPU", permission.SWITCH):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("GENRE_APP_RUNS", str(tmp_path / "runs"))
    monkeypatch.setenv("GENRE_APP_LOCKS", str(tmp_path / "locks"))
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path / "gradio"))


@pytest.fixture
def _on_a_space(monkeypatch):
    monkeypatch.setenv("SPACE_ID", "ada/genres")


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return write_bands(tmp_path_factory.mktemp("data") / "bands")


def values_of(function, **changes) -> dict:
    """What the form holds when it is opened, with changes by id or label."""
    values = {block: None if isinstance(block, gr.State) else block.value for block in function.inputs}
    values |= {block: value["data"] for block, value in values.items() if isinstance(block, gr.Dataframe)}
    places = {name: block for block in values for name in (block.elem_id, getattr(block, "label", None)) if name}
    return values | {places[name]: value for name, value in changes.items()}


def changed(app, **changes) -> dict:
    """What the page says of values in the form."""
    function = handler(app, "set-epochs", "input")
    return named(function.fn(values_of(function, **changes)))


def looked(app, profile=None, **changes) -> tuple[list[dict], dict]:
    """Everything that is shown while and after the data are checked, and the values of the form."""
    function = handler(app, "train-check", "click")
    values = values_of(function, **changes)
    return [named(update) for update in function.fn(values, profile)], values


def begin(app, values, plan, profile=None) -> dict:
    """Press Start with a plan in the page's memory."""
    function = handler(app, "train-start", "click")
    state = next(block for block in values if isinstance(block, gr.State))
    return named(function.fn(values | {state: plan}, profile))


# The form


def test_every_setting_of_a_run_has_a_field_with_its_help_and_its_bounds(app):
    fields = {field.path: field for field in form_fields()}
    assert fields["epochs"].info == "Rounds over the training tracks; 1 to 10000"
    assert fields["learning_rate"].info == "Highest learning rate; above 0, at most 1"
    assert fields["augment.waveform.snr_db"].info.endswith("from, to")
    assert [path for path, field in fields.items() if len(field.info) < 8] == []
    blocks = {block.elem_id: block for block in app.blocks.values()}
    for path, field in fields.items():
        if f"set-{path.replace('.', '-')}" not in blocks:
            table = blocks[f"set-{field.group.replace('.', '-')}"].value["data"]
            assert [row[2] for row in table if row[0] == field.label] == [field.info], path
    leaves = {name for name, _ in train_view._flat(read_recipe("mlp").model_dump(exclude={"model_settings"}))}
    constant = {"spec.center", "spec.mel_norm"}
    assert leaves - constant == set(fields) - {"model_settings"}


@pytest.mark.parametrize("name", recipe_names())
def test_a_recipe_left_as_it_is_needs_no_setting(name):
    config = read_recipe(name)
    assert settings_of(shown(config), config) == ()


def test_only_what_differs_becomes_a_setting_and_gives_the_same_run():
    recipe = read_recipe("default")
    values = shown(recipe) | {
        "epochs": 7,
        "learning_rate": 1e-5,
        "model_settings": shown(recipe)["model_settings"].replace("dropout = 0.3", "dropout = 0.1"),
        "spec.kind": "mfcc",
        "split.file": "my split.csv",
        "augment.spare_rest": True,
        "augment.recorded.noise_snr_db": "1; 2.5",
        "seed": 3,
    }
    settings = settings_of(values, recipe)
    assert len(settings) == 8
    config = read_recipe("default", settings)
    assert (config.epochs, config.learning_rate, config.spec.kind, config.seed) == (7, 1e-5, "mfcc", 3)
    assert config.model_settings == recipe.model_settings | {"dropout": 0.1}
    assert config.split.file == Path("my split.csv")
    assert config.augment.recorded.noise_snr_db == (1.0, 2.5)
    assert config.augment.mild == recipe.augment.mild
    assert shown(config) == shown(config) | {
        path: value for path, value in values.items() if path != "augment.recorded.noise_snr_db"
    }


def test_a_table_of_settings_reads_back_as_it_was_written():
    for name in recipe_names():
        values = shown(read_recipe(name))
        for group in ("augment.mild", "augment.recorded", "augment.waveform"):
            fields = [field for field in form_fields() if field.group == group]
            rows = [*table_rows(fields, values), ["Unknown", "1", ""], ["Split file", "/etc/passwd", ""], []]
            assert of_table(fields, rows) == {field.path: values[field.path] for field in fields}


def test_another_network_does_not_inherit_settings():
    recipe = read_recipe("default")
    settings = settings_of(shown(recipe) | {"model": "mlp", "model_settings": "hidden = [8]"}, recipe)
    assert read_recipe("default", settings).model_settings == {"hidden": [8]}
    settings = settings_of(shown(recipe) | {"model": "resnet18", "model_settings": ""}, recipe)
    assert read_recipe("default", settings).model_settings == {}


def test_a_preset_is_one_setting_and_can_be_changed_further(app):
    recipe = read_recipe("default")
    filled = handler(app, "train-preset", "input").fn("default", "noise+pitch")
    groups = {
        group: [field for field in form_fields() if field.group == group] for group in ("augment.mild", "augment.recorded")
    }
    values = shown(recipe)
    for block, value in filled.items():
        path = block.elem_id.removeprefix("set-").replace("-", ".")
        values |= of_table(groups[path], value) if path in groups else {path: value}
    assert settings_of(values, recipe, "noise+pitch") == ("augment=noise+pitch",)
    values["augment.mild.pitch_semitones"] = 2
    config = read_recipe("default", settings_of(values, recipe, "noise+pitch"))
    assert (config.augment.mild.pitch_semitones, config.augment.mild.gaussian_probability) == (2, 1)
    assert config.augment.recorded_share == 0


def test_choosing_a_recipe_fills_the_form(app):
    filled = named(handler(app, "train-recipe", "input").fn("kth-lstm"))
    config = read_recipe("kth-lstm")
    assert filled["set-model"] == "lstm"
    assert filled["set-epochs"] == config.epochs
    assert filled["set-spec-kind"] == config.spec.kind == "mfcc_delta"
    assert "units = [128, 32]" in filled["set-model_settings"].value
    assert "KTH" in filled["train-recipe"].info
    assert filled["train-preset"].value == OF_RECIPE


def test_the_command_is_the_same_as_the_form(app):
    command = changed(app, **{"train-source": "/my music", "set-epochs": 5, "Name of the run": "mine"})["train-command"]
    words = shlex.split(command)
    assert words[:6] == ["python", "-m", "train", "default", "--data", "/my music"]
    assert words[words.index("--set") + 1] == "epochs=5"
    assert words[words.index("--out") + 1].endswith("runs/mine")
    assert "--data DATA" in changed(app)["train-command"]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"set-epochs": 0}, "Epochs: must be greater than or equal to 1"),
        ({"set-epochs": 2.5}, "Epochs: must be a valid integer"),
        ({"set-batch_size": None}, "Batch size (batch_size): write a number"),
        ({"set-learning_rate": 2}, "Learning rate: must be less than or equal to 1"),
        ({"set-spec-fmax": 20000}, "fmin &lt; fmax &lt;= sample_rate / 2 must hold"),
        ({"set-split-train": 0.99}, "train + valid must not exceed 1"),
        ({"set-augment-mild": [["Noise SNR dB", "loud", ""]]}, "Noise SNR dB (augment.mild.noise_snr_db): write two numbers"),
        (
            {"set-augment-recorded": [["Noise probability", "often", ""]]},
            "(augment.recorded.noise_probability): write a number",
        ),
        ({"set-augment-waveform": [["Background probability", "0.5", ""]]}, "needs a background_folder"),
        ({"set-model_settings": "dropout 3"}, "Model settings (model_settings)"),
        ({"set-model_settings": "droppout = 0.3"}, "Droppout"),
        ({"set-model": "mlp"}, "Channels"),
        ({"CPU threads": 0}, "Threads: must be greater than or equal to 1"),
        ({"Name of the run": "../up"}, "cannot name a run"),
        ({"Begin with": "run: gone"}, "There is no checkpoint"),
    ],
)
def test_a_wrong_value_is_a_sentence_in_place(app, changes, words):
    said = changed(app, **changes)
    assert words in said["plan"]
    assert 'role="alert"' in said["plan"]
    assert "Traceback" not in said["plan"]
    assert "\n" not in re.sub("<[^>]+>", "", said["plan"]).strip()
    assert said["train-start"].interactive is said["train-check"].interactive is False


def test_an_error_with_a_sentence_of_its_own_keeps_it():
    assert explain(ValueError("plain words")) == "plain words."
    error = train_data.RequestError("Say it")
    error.__cause__ = ValueError("not this")
    assert explain(error) == "Say it."


# Check and start


def test_what_will_happen_is_said_before_start(app, cache):
    shown, _ = looked(app, **TINY, **{"train-source": str(cache)})
    assert shown[0]["train-check"].interactive is False
    assert any("Looking at the data" in update.get("plan", "") for update in shown)
    end = shown[-1]
    text = re.sub(r"\s+", " ", re.sub("<[^>]+>", " ", end["plan"]))
    assert "high 6 2 low 6 2 all 12 4" in text
    # 60 columns, segments of 26 columns every 13: starts 0, 13, 26 and the right-aligned 34.
    assert "48 to learn, 16 to choose" in text
    assert "24 segments in 3 steps" in text
    spec = FeatureSpec(n_mels=32, segment_seconds=2, segment_hop_seconds=1)
    settings = {"channels": [4, 8], "pools": [[4, 2], [4, 4]]}
    network = create_model("cnn", n_bins=32, n_frames=spec.segment_frames, n_genres=2, settings=settings)
    assert f"cnn, {sum(p.numel() for p in network.parameters()):,} parameters" in text
    assert re.search(r"about \d+ s for 3 epochs on", text)
    assert "Split by the data&#x27;s own split" in text
    assert end["train-start"].interactive is True


@pytest.fixture(scope="module")
def told(app, cache, tmp_path_factory):
    """A plan and the values of the form that it was made from."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GENRE_APP_RUNS", str(tmp_path_factory.mktemp("told")))
        shown, values = looked(app, **TINY, **{"train-source": str(cache)})
    return shown[-1]["State"], values


def test_start_makes_a_run_of_exactly_what_was_asked(app, cache, told, monkeypatch):
    begun = []
    monkeypatch.setattr("genre_app.ui.zerogpu.launch.start", begun.append)
    plan, values = told
    shown = begin(app, values, plan)
    (run,) = list_runs()
    assert begun == [run]
    assert run.name == "default-1"
    config = run.description().config
    assert (config.epochs, config.batch_size, config.model_settings["channels"]) == (3, 8, [4, 8])
    request = run.description().request
    assert (request.data, request.columns, request.threads) == (str(cache), "data", 1)
    assert run.name in shown["run-chosen"]
    assert "default-1" in shown["plan"]
    assert begin(app, values, plan)["run-chosen"] == "default-2"


def test_time_follows_the_epochs_and_other_changes_ask_for_another_look(app, told):
    plan, values = told
    function = handler(app, "set-epochs", "input")
    state = next(block for block in values if isinstance(block, gr.State))
    places = {block.elem_id: block for block in values}
    longer = named(function.fn(values | {state: plan, places["set-epochs"]: 300}))
    assert longer["State"].seconds == pytest.approx(100 * plan.seconds)
    assert "for 300 epochs" in longer["plan"]
    assert longer["train-start"].interactive is True
    for name, value in (("set-batch_size", 16), ("set-seed", 1), ("train-source", "/elsewhere")):
        other = values | {places[name]: value}
        said = named(function.fn(other | {state: plan}))
        assert "check again" in said["plan"]
        assert said["train-start"].interactive is False
        assert "check again" in begin(app, other, plan)["plan"]
    assert list_runs() == []
    assert "check again" in begin(app, values, None)["plan"]


def genres(folder: Path, **counts: int) -> Path:
    for genre, count in counts.items():
        (folder / genre).mkdir(parents=True)
        for number in range(count):
            noise = np.random.default_rng([len(genre), number]).normal(0, 0.1, 22050)
            soundfile.write(folder / genre / f"{number}.wav", noise, 22050)
    return folder


def test_data_that_cannot_be_used_are_a_sentence(app, tmp_path):
    (tmp_path / "empty").mkdir()
    for source, words in (
        ("", "Say where the music is"),
        (str(tmp_path / "nowhere"), "There is no"),
        (str(tmp_path / "empty"), "has no audio files in genre folders"),
        (str(genres(tmp_path / "one", jazz=3)), "has one genre only, jazz"),
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


def test_an_uploaded_zip_is_kept_checked_and_shared_by_what_it_holds(app, tmp_path):
    folder = genres(tmp_path / "music", jazz=3, reggae=3)
    path = tmp_path / "music.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for file in sorted(folder.rglob("*.wav")):
            archive.write(file, file.relative_to(folder))
    upload = handler(app, "train-upload", "upload").fn
    token = named(upload(str(path), None))["train-source"]
    assert named(upload(str(path), None))["train-source"] == token
    path.unlink()  # as the page does after a while
    end = looked(app, **TINY | {"Columns": "recipe"}, **{"train-source": token})[0][-1]
    assert "Split at random by track" in end["plan"], end["plan"]
    bad = tmp_path / "music.rar"
    bad.write_bytes(b"Rar!")
    assert "neither a zip" in named(upload(str(bad), None))["train-upload-problem"]


def test_stopping_a_check_ends_the_work(app, tmp_path, monkeypatch):
    asked = []

    def endless(*_, should_stop, **__):
        while not should_stop():
            time.sleep(0.01)
        asked.append("stopped")
        raise train_data.StoppedError("stopped")

    monkeypatch.setattr("genre_app.data.source.open_data", endless)
    looking = train_data.look(Request(recipe="default", data="x"))
    assert next(looking).stage == "looking at the data"
    began = time.monotonic()
    looking.close()
    assert time.monotonic() - began < 0.5
    for _ in range(100):
        if asked:
            return
        time.sleep(0.05)
    raise AssertionError("it goes on")


# Who may train


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
        act(app, "run-rename", stopped, "other", profile=profile)["run-said"],
        act(app, "run-really", stopped, "over", profile=profile)["run-said"],
    ):
        assert 'role="alert"' in said
        assert "Ada" in said or "owner" in said
    assert before == {path: path.read_bytes() for path in (tmp_path / "runs").rglob("*") if path.is_file()}
    arrived = named(handler(app, "Train", "select").fn(None, None, None, None, profile))
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
    rows = [["Background folder", "/etc", ""], ["Background probability", "0.5", ""]]
    assert "needs a background_folder" in changed(app, **{"set-augment-waveform": rows})["plan"]
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


# Runs


def events(status: Status, epochs: int = 4) -> list[dict]:
    """A journal that ends in this state, with two genres and four tracks to choose by."""
    me = psutil.Process()
    gone = {"event": "process", "pid": 2**22 + 1, "pid_created": 1.0}
    lines: list[dict] = [
        {"event": "created"},
        gone if status is Status.died else {"event": "process", "pid": me.pid, "pid_created": me.create_time()},
    ]
    if status is Status.starting:
        return lines[:1]
    if status is Status.queued:
        return [*lines, {"event": "queued", "device": "cpu"}]
    lines.append({"event": "preparing", "stage": "decoding tracks", "done": 30, "total": 120, "eta_seconds": 45.0})
    if status is Status.preparing:
        return lines
    lines.append(
        {
            "event": "started", "device": "cpu", "processes": 1, "epoch": 0, "step": 0, "epochs": 8, "steps": 10,
            "tracks": {"train": 12, "valid": 4, "test": 0}, "segments": 48, "parameters": 1234,
            "genres": ["high", "low"], "notes": [],
        }
    )  # fmt: skip
    for epoch in range(1, epochs + 1):
        lines += [
            {
                "event": "step", "epoch": epoch, "step": step, "steps": 10, "loss": 1 / epoch, "learning_rate": 0.01,
                "samples_per_second": 321.0, "eta_seconds": 200.0, "memory_bytes": 1.5e9,
            }
            for step in (5, 10)
        ]  # fmt: skip
        lines.append(
            {
                "event": "epoch", "epoch": epoch, "train_loss": 1 / epoch, "learning_rate": 0.01, "seconds": 2.0,
                "valid_log_loss": 0.9 / epoch, "valid_accuracy": min(1.0, 0.25 * epoch), "valid_segment_accuracy": 0.5,
                "confusion": [[2, 0], [1, 1]], "best": True,
            }
        )  # fmt: skip
    end = {
        Status.paused: [{"event": "paused"}],
        Status.stopped: [{"event": "stopped"}],
        Status.failed: [{"event": "failed", "message": "The disk is full; make room."}],
        Status.finished: [{"event": "finished", "accuracy": 0.75, "log_loss": 0.4, "seconds": 99.0}],
    }
    return lines + end.get(status, [])


def record(run: Run, event: dict) -> None:
    run.record(event["event"], **{key: value for key, value in event.items() if key != "event"})


REPORT = {
    "vote": "mean",
    "best_epoch": 3,
    "seconds": 99.0,
    "valid": {
        "n_tracks": 4,
        "accuracy": 0.75,
        "accuracy_ci95": [0.3, 0.95],
        "log_loss": 0.4,
        "macro_f1": 0.73,
        "segment_accuracy": 0.6,
        "by_vote": {"mean": 0.75, "majority": 0.5},
        "per_genre": {
            "high": {"precision": 0.67, "recall": 1.0, "f1": 0.8, "n": 2},
            "low": {"precision": 1.0, "recall": 0.5, "f1": 0.67, "n": 2},
        },
        "confusion": {"genres": ["high", "low"], "matrix": [[2, 0], [1, 1]]},
        "failed": [],
    },
}


@pytest.fixture
def make_run(tmp_path, checkpoint):
    """Make a run's folder by hand: name, status, settings; those that end have the tiny checkpoint."""

    def make(name: str, status: Status, *settings: str, data: str = "/music") -> Run:
        run = Run.create(tmp_path / "runs" / name, Request(recipe="default", data=data, settings=("epochs=8", *settings)))
        began = time.time() - 5.0
        lines = [{"time": began + index / 100, **event} for index, event in enumerate(events(status))]
        (run.path / "journal.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
        if not status.is_active and status is not Status.died:
            save_checkpoint(checkpoint, run.best)
        if status is Status.finished:
            (run.path / "report.json").write_text(json.dumps(REPORT))
            (run.path / "card.md").write_text("# A card")
        return run

    return make


def arrive(app, name=None, other=None, remembered=None) -> dict:
    """What a page that is opened or reloaded shows."""
    return named(handler(app, "Train", "select").fn(name, other, None, remembered, None))


def act(app, button: str, run: Run, *extra: str, profile=None) -> dict:
    return named(handler(app, button, "click").fn(run.name, "", None, None, *(extra or (None,)), profile))


def words(html: str) -> str:
    return re.sub(r"\s+", " ", re.sub("<[^>]+>", " ", html)).strip()


@pytest.mark.parametrize(
    ("status", "said", "stop", "resume", "use"),
    [
        (Status.starting, "Starting a process", True, False, False),
        (Status.queued, "Waiting until the device is free", True, False, False),
        (Status.preparing, "Decoding tracks: 30 of 120 · 45 s left", True, False, False),
        (Status.running, "Epoch 5 of 8 · about 3 min left", True, False, False),
        (Status.paused, "4 of 8 epochs done", True, True, False),
        (Status.stopped, "Stopped after 4 of 8 epochs; Resume goes on exactly from there", False, True, True),
        (Status.finished, "75.0 % of the validation tracks are right", False, False, True),
        (Status.failed, "The disk is full; make room.", False, True, True),
        (Status.died, "ended without a word after 4 of 8 epochs", False, True, False),
    ],
)
def test_a_run_in_every_state(app, make_run, status, said, stop, resume, use):
    run = make_run("it", status)
    assert run.status() is status
    shown = arrive(app)
    assert said in words(shown["run-head"])
    buttons = shown["run-stop"].visible, shown["run-resume"].visible, shown["run-use"].visible
    assert buttons == (stop, resume, use)
    assert shown["runs"].value["data"][0][0] == "it"
    assert shown["Timer"].active is status.is_active
    began = status not in (Status.starting, Status.queued, Status.preparing)
    assert shown["plot-loss"].visible is began
    assert ("img" in shown["confusion"]) is began


def test_numbers_of_a_run_at_work(app, make_run):
    make_run("it", Status.running)
    shown = arrive(app)
    text = words(shown["run-head"])
    for piece in (
        "Run: 4 of 8 epochs",
        "Epoch 5: step 0 of 10",
        "321 segments/s",
        "1.5 GB",
        "100.0 % of the tracks, epoch 4",
        "cnn, 1,234",
    ):
        assert piece in text
    loss = shown["plot-loss"].value
    assert loss is not None
    assert "3 of 4 validation tracks on the diagonal" in shown["confusion"]


def test_curves_have_every_epoch_once_though_a_resumed_run_did_it_twice(make_run):
    from genre_app.ui.train_journal import curves

    run = make_run("it", Status.stopped)
    again = [
        {"event": "process", "pid": 1, "pid_created": 1.0},
        {**next(e for e in events(Status.running) if e["event"] == "started"), "epoch": 3, "step": 2},
    ]
    epoch = {**[e for e in events(Status.running) if e["event"] == "epoch"][-1], "train_loss": 0.111}
    for event in [*again, epoch]:
        record(run, event)
    loss, accuracy, rate = curves(snapshot(run))
    of_training = loss[loss.series == "training"]
    assert list(of_training.epoch) == sorted(of_training.epoch)
    assert list(of_training[of_training.epoch == 4].value) == [0.111]
    assert list(of_training[of_training.epoch.between(3.01, 3.99)].value) == []  # those steps were taken again
    assert list(accuracy[accuracy.series == "whole tracks"].value) == [0.25, 0.5, 0.75, 1.0]
    assert set(rate.series) == {"learning rate"}


def test_a_report_has_its_interval_its_votes_and_each_genre(app, make_run):
    make_run("it", Status.finished)
    text = words(arrive(app)["run-report"])
    for piece in (
        "75.0 % right",
        "30.0 % to 95.0 %",
        "3 of 8",
        "0.400",
        "0.730",
        "mean 75.0 %, majority 50.0 %",
        "low 0.67 1.00 0.50 2",
    ):
        assert piece in text


def test_a_page_gets_only_what_has_changed_since(app, make_run):
    run = make_run("it", Status.running)
    first = arrive(app)
    tick = handler(app, "run-stop", "click")  # any handler of the panel has the same outputs
    assert set(named(dict.fromkeys(tick.outputs))) >= set(first) - {"train-note", "train-form", "Begin with"}
    second = arrive(app, "it", None, first["State"])
    assert not {"run-head", "plot-loss", "confusion", "runs", "run-log"} & set(second)
    record(run, {**[event for event in events(Status.running) if event["event"] == "epoch"][-1], "epoch": 5})
    third = arrive(app, "it", None, second["State"])
    assert {"run-head", "plot-loss", "confusion", "runs"} <= set(third)
    assert "run-report" not in third
    assert "Epoch 6 of 8" in third["run-head"]


def test_the_curves_of_a_long_run_are_not_drawn_every_second(app, make_run):
    run = make_run("it", Status.running)
    journal = run.path / "journal.jsonl"
    lines = [json.loads(line) for line in journal.read_text().splitlines()]

    def draw(lasted: float, shown: dict | None) -> dict:
        lines[0]["time"], lines[-1]["time"] = 80_000.0 - 600.0, 80_000.0 + lasted
        journal.write_text("".join(json.dumps(line) + "\n" for line in lines))
        return arrive(app, "it", None, shown)

    first = draw(0.5, None)["State"]
    soon = draw(7.5, first)
    assert not {"plot-loss", "confusion"} & set(soon)
    assert {"plot-loss", "confusion"} <= set(draw(8.5, soon["State"]))


def test_a_page_shows_the_run_at_work_unless_it_is_told_another(app, make_run):
    make_run("old", Status.running)
    time.sleep(0.01)
    make_run("new", Status.finished)
    assert "old" in arrive(app)["run-head"]
    assert "new" in arrive(app, "new")["run-head"]
    assert "old" in arrive(app, "deleted")["run-head"]
    assert [row[0] for row in arrive(app)["runs"].value["data"]] == ["new", "old"]
    event = SimpleNamespace(row_value=["new", "finished", "", ""])
    chosen = named(handler(app, "runs", "select").fn("old", "", None, None, event, None))
    assert "new" in chosen["run-head"]


def test_without_runs_the_tab_says_what_to_do(app):
    shown = arrive(app)
    assert shown["Timer"].active is False
    assert shown["runs"].visible is False
    assert briefs() == []


def test_two_runs_beside_each_other(app, make_run):
    make_run("one", Status.finished, "batch_size=16")
    make_run("two", Status.stopped, "augment=noise")
    compared = named(handler(app, "run-other", "input").fn("one", "two"))
    text = words(compared["run-compared"])
    assert "one two" in text
    assert "accuracy 75.0 % (30.0 % to 95.0 %, n = 4) 100.0 %" in text
    assert "batch_size 16 64" in text
    assert "augment.mild.gaussian_probability 0.0 1.0" in text
    assert "learning_rate" not in text
    assert compared["compared-loss"].visible is True
    assert named(handler(app, "run-other", "input").fn("one", ""))["run-compared"] == ""


def test_names_from_folders_are_escaped(app, make_run):
    make_run("it", Status.failed, data="<script>alert(1)</script>")
    make_run("other", Status.stopped)
    run = next(run for run in list_runs() if run.name == "it")
    run.record("failed", message="<script>alert(2)</script>")
    shown = arrive(app, "it", "other")
    assert "<script" not in shown["run-head"] + shown["run-compared"]


def test_stop_leaves_its_word_for_the_process(app, make_run):
    run = make_run("it", Status.running)
    shown = act(app, "run-stop", run)
    assert run.should_stop
    assert "Stopping after the step under way" in shown["run-head"]
    over = make_run("over", Status.finished)
    act(app, "run-stop", over)
    assert not over.should_stop


def test_resume_begins_the_run_again(app, make_run, monkeypatch):
    begun = []
    monkeypatch.setattr("genre_app.ui.zerogpu.launch.start", begun.append)
    run = make_run("it", Status.died)
    assert act(app, "run-resume", run)["run-said"] == ""
    assert begun == [run]


def test_a_run_is_renamed_or_the_page_says_why_not(app, make_run):
    run = make_run("it", Status.stopped)
    make_run("taken", Status.stopped)
    assert "already" in act(app, "run-rename", run, "taken")["run-said"]
    assert "cannot name a run" in act(app, "run-rename", run, "../../up")["run-said"]
    shown = act(app, "run-rename", run, "better")
    assert "better" in shown["run-head"]
    assert {run.name for run in list_runs()} == {"better", "taken"}
    going = make_run("going", Status.running)
    assert "stop it first" in act(app, "run-rename", going, "else")["run-said"]


def test_a_run_is_deleted_only_after_a_question_about_it(app, make_run):
    run, other = make_run("it", Status.stopped), make_run("other", Status.finished)
    sure, doomed, question = handler(app, "run-delete", "click").fn("it")
    assert sure.visible is True
    assert "<b>it</b>" in question
    assert "press Delete again" in act(app, "run-really", other, doomed)["run-said"]
    assert "press Delete again" in act(app, "run-really", run, "")["run-said"]
    assert len(list_runs()) == 2
    shown = act(app, "run-really", run, doomed)
    assert list_runs() == [other]
    assert "other" in shown["run-head"]
    going = make_run("going", Status.running)
    assert "stop it first" in act(app, "run-really", going, "going")["run-said"]
    assert "There is no run" in act(app, "run-really", run, "it")["run-said"]


def test_downloads_are_the_runs_own_files(app, make_run):
    run = make_run("it", Status.finished)
    shown = arrive(app)
    path = Path(shown["Download checkpoint"].value["path"])
    assert path.name == "it.safetensors"
    assert path.read_bytes() == run.best.read_bytes()
    assert Path(shown["Download model card"].value["path"]).read_text() == "# A card"


# Checkpoints of runs, and of visitors


def test_a_runs_checkpoint_is_used_without_a_restart(app, bundled, make_run, make_checkpoint, make_clip, tmp_path):
    clip = make_clip(6.0)
    soundfile.write(tmp_path / "song.wav", clip.samples, clip.sample_rate)
    song = str(tmp_path / "song.wav")
    run = make_run("mine", Status.finished)
    assert service.checkpoint_choices() == ["default", "run: mine"]
    checkpoint, options, tabs = (
        named(handler(app, "run-use", "click").fn("mine", None))[name] for name in ("Checkpoint", "Options", "Tabs")
    )
    assert checkpoint.value == "run: mine"
    assert ("run: mine", "run: mine") in checkpoint.choices
    assert options.open is True
    assert tabs.selected == "Classify"
    first = service.answer(song, checkpoint="run: mine").prediction
    assert first.checkpoint == "run: mine"
    save_checkpoint(make_checkpoint(seed=3), run.best)
    os.utime(run.best, ns=(1, 1))  # another time, however fast this was
    second = service.answer(song, checkpoint="run: mine").prediction
    assert not np.allclose(first.probabilities, second.probabilities)
    run.rename("renamed")
    with pytest.raises(service.RequestError, match="no checkpoint 'run: mine'"):
        service.answer(song, checkpoint="run: mine")


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
    assert dropdown.value == "yours: theirs.safetensors"
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


# Before and after


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
