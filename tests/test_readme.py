"""Each command and each piece of Python in the READMEs runs, on small files and with little training."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
import soundfile
from typer.testing import CliRunner

from genre_app.audio.synth import STYLES, music
from genre_app.checkpoint import Checkpoint, save_checkpoint
from genre_app.cli import build
from genre_app.models import create_model
from genre_app.runs.recipes import read_recipe
from tests.bench.rows import ROWS

ROOT = Path(__file__).parents[1]
RATE = 22050
OTHERS = ("checkpoints/default.md", "checkpoints/fast.md", "genre_app/library/README.md", "genre_app/ui/SERVING.md")
LITTLE = "--set epochs=1 --set segments_per_track=1 --set batch_size=8 --threads 1"
"""What the training commands get besides, so that they take seconds."""


def blocks(name: str, language: str = "") -> list[str]:
    """Return the fenced blocks of a README in a language."""
    return re.findall(rf"^```{language}\n(.*?)^```", (ROOT / name).read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)


def commands(name: str) -> list[str]:
    """Return the lines of the blocks of commands, without their comments."""
    lines = "".join(blocks(name)).replace("\\\n", " ").splitlines()
    return [line.split("  #")[0].strip() for line in lines if line.strip()]


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """A working folder with what the commands name: FOLDER, song.mp3, two FLAC files, and a, b as MP3. ONE has one track."""
    folder = tmp_path_factory.mktemp("readme")
    for style in STYLES[:3]:
        (folder / "FOLDER" / style).mkdir(parents=True)
        for number in range(4):
            soundfile.write(folder / "FOLDER" / style / f"{number}.wav", music(style, 2.0, RATE, number), RATE)
    (folder / "ONE" / STYLES[0]).mkdir(parents=True)
    shutil.copy(folder / "FOLDER" / STYLES[0] / "0.wav", folder / "ONE" / STYLES[0])
    for name in ("song.mp3", "a.mp3", "b.mp3", "one.flac", "two.flac"):
        soundfile.write(folder / name, np.clip(music("reggae", 4.0, RATE), -1, 1), RATE)
    return folder


def run(line: str, folder: Path, monkeypatch) -> str:
    """Run a command of genre-app in the folder; shell patterns are expanded as a shell does."""
    monkeypatch.chdir(folder)
    monkeypatch.setenv("GENRE_APP_RUNS", str(folder / "runs"))
    name, *words = shlex.split(line)
    assert name == "genre-app"
    words = [found for word in words for found in (sorted(map(str, folder.glob(word))) if "*" in word else [word])]
    result = CliRunner().invoke(build(), words)
    assert result.exit_code == 0, f"{line}\n{result.output}"
    return result.output


def test_the_commands_of_the_readme_run(folder, monkeypatch):
    found = [line for line in commands("README.md") if line.startswith("genre-app")]
    assert len(found) == 7
    for line in found:
        few = line.replace("FOLDER", "ONE") if "--conditions all" in line else line  # of twelve tracks it took 20 s
        more = {"train": LITTLE, "teach": "--cache cache", "map": "--cache cache"}.get(line.split()[1], "")
        assert run(f"{few} {more}", folder, monkeypatch)


def test_the_commands_of_the_training_guide_run(folder, monkeypatch):
    found = commands("train/README.md")
    assert len(found) == 15
    shutil.rmtree(folder / "runs", ignore_errors=True)
    listed, default, mine, resume, folds, classify, combine, *_ = found
    assert "kth-lstm" in run(listed, folder, monkeypatch)
    run(f"{default} {LITTLE}", folder, monkeypatch)
    assert (folder / "runs/default-1/best.safetensors").is_file()
    run(f"{mine.replace('epochs=20', 'epochs=1')} {LITTLE}", folder, monkeypatch)
    monkeypatch.chdir(folder)
    result = CliRunner().invoke(build(), shlex.split(resume)[1:])
    assert (result.exit_code, "has finished" in result.output) == (2, True)  # there is nothing left to resume
    run(f"{folds} {LITTLE}", folder, monkeypatch)
    assert "song.mp3" in run(classify, folder, monkeypatch)
    assert "equal weights" in run(combine, folder, monkeypatch)
    assert (folder / "both.safetensors").is_file()


def test_the_other_commands_of_the_training_guide_ask_for_what_it_says(folder, monkeypatch):
    pretrained, tuned, frozen, folds, everything = commands("train/README.md")[7:12]
    assert pretrained == "genre-app pretrained musicnn"  # it downloads
    shutil.rmtree(folder / "runs", ignore_errors=True)
    spec = read_recipe("transfer").spec
    model = create_model("musicnn", n_bins=spec.n_bins, n_frames=spec.input_frames, n_genres=50)
    save_checkpoint(
        Checkpoint.single(model, spec, tuple(f"tag {number}" for number in range(50))), folder / "MSD_musicnn.safetensors"
    )
    asked = []
    monkeypatch.setattr("genre_app.cli.train._work", lambda run: asked.append(run.description().config))
    monkeypatch.setattr("genre_app.runs.folds.cross_validate", lambda request, n, *_, **__: asked.append((request.config(), n)))
    for line in (tuned, frozen, folds, everything):
        run(line, folder, monkeypatch)
    assert [config.unfreeze for config in asked[:2]] == [(0.15, 0.3), (1.0,)]
    assert asked[2] == (asked[3], 5)
    assert (asked[3].split.method, asked[3].keep) == ("none", "last")


def test_the_searches_of_the_training_guide_ask_for_what_it_says(folder, monkeypatch):
    shutil.rmtree(folder / "runs", ignore_errors=True)
    asked = []
    monkeypatch.setattr("genre_app.cli._search.on_signals", lambda _: None)
    monkeypatch.setattr("genre_app.runs.search.loop.run_search", lambda found, **_: not asked.append((found, found.search())))
    for line in commands("train/README.md")[12:]:
        run(line, folder, monkeypatch)
    assert [found.path.name for found, _ in asked] == ["mlp-search-1", "mlp-search-2", "mlp-search-1"]
    assert [(search.trials, search.folds) for _, search in asked] == [(30, 0), (30, 5), (60, 0)]
    assert asked[1][1].space["batch_size"] == [32, 64, 128]


def test_the_python_of_the_readme_runs(folder, monkeypatch, capsys):
    monkeypatch.chdir(folder)
    example = blocks("README.md", "python")[0]
    exec(compile(example, "README.md", "exec"), {})
    assert capsys.readouterr().out.startswith("reggae [('reggae', ")


def test_the_http_api_of_the_readme_answers(folder, monkeypatch, address):
    monkeypatch.chdir(folder)
    example = blocks("README.md", "python")[1].replace("http://127.0.0.1:7860", address)
    *before, one, many = example.strip().splitlines()
    names: dict[str, object] = {}
    exec(compile("\n".join([*before, f"one = {one}", f"many = {many}"]), "README.md", "exec"), names)
    assert names["one"]["file"] == "song.mp3"
    assert [answer["file"] for answer in names["many"]] == ["a.mp3", "b.mp3"]


@pytest.mark.skipif(not (shutil.which("bash") and shutil.which("curl")), reason="needs bash and curl")
def test_the_curl_calls_of_the_serving_guide_answer(folder, address):
    (example,) = blocks("genre_app/ui/SERVING.md", "bash")
    script = example.replace("http://127.0.0.1:7860", address)
    done = subprocess.run(["bash", "-c", script], cwd=folder, capture_output=True, text=True, check=True, timeout=60)
    assert "event: complete" in done.stdout
    assert '"file": "song.mp3", "genre": ' in done.stdout


@pytest.mark.parametrize("target", ["app", "test"])
def test_make_has_the_targets_of_the_readme(target):
    assert f"make {target}" in [line.split("  ")[0] for line in commands("README.md")]
    done = subprocess.run(["make", "--dry-run", target], cwd=ROOT, capture_output=True, text=True, check=True)
    assert ("app.py" if target == "app" else "pytest") in done.stdout


def test_the_rows_of_the_speed_table_exist():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    rows = re.findall(r"`python -m tests\.bench --only ([\w-]+)`", text)
    assert len(rows) == 6
    assert set(rows) <= set(ROWS)


def test_the_readme_takes_two_minutes():
    assert len((ROOT / "README.md").read_text(encoding="utf-8").splitlines()) <= 130


def test_links_lead_somewhere():
    for name in ("README.md", "train/README.md", "train/RESULTS.md", "tests/bench/README.md", "genre_app/README.md", *OTHERS):
        for link in re.findall(r"\]\(([^)#:]+)\)", (ROOT / name).read_text(encoding="utf-8")):
            assert ((ROOT / name).parent / link).exists(), f"{name}: {link}"
