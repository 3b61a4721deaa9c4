"""The cross-validation of the shipped networks, without training: its folds, and what it gives to their checkpoints."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import soundfile
from typer.testing import CliRunner

from genre_app.checkpoint import load_checkpoint, save_checkpoint
from genre_app.combine import combine
from genre_app.evaluation.combination import calibrated
from genre_app.evaluation.evaluate import MemberTrack, evaluate
from genre_app.features import COLUMN_FIELDS, FeatureSpec
from train import out_of_fold

RATE = 22050
SPEC = FeatureSpec(segment_seconds=3.0, segment_hop_seconds=1.5)
NAMES = [f"{genre}.{number:05}" for genre in ("blues", "rock") for number in (1, 9, 12, 25)]


@pytest.fixture
def material(make_clip, make_checkpoint, tmp_path):
    """A mel cache with noise, audio of the same tracks, a noise, a response, and two checkpoints of a pair of networks."""
    cache, pieces = tmp_path / "mel", tmp_path / "pieces"
    cache.mkdir()
    (cache / "spec.json").write_text(json.dumps({"kind": "log_mel"} | {name: getattr(SPEC, name) for name in COLUMN_FIELDS}))
    rows = [f"{name},{name.split('.')[0]},train,{50 * place},50" for place, name in enumerate(NAMES)]
    (cache / "index.csv").write_text("\n".join(["track_id,genre,split,offset,n_frames", *rows]))
    np.save(cache / "log_mel.npy", np.random.default_rng(0).normal(-40, 9, (50 * len(NAMES), 128)).astype(np.float16))
    for seed, name in enumerate(NAMES):
        (pieces / name.split(".")[0]).mkdir(parents=True, exist_ok=True)
        soundfile.write(pieces / name.split(".")[0] / f"{name}.wav", make_clip(4.0, seed).samples, RATE)
    for folder in ("noises", "rooms"):
        (tmp_path / folder).mkdir()
    soundfile.write(tmp_path / "noises" / "hiss.wav", 0.1 * np.random.default_rng(1).normal(size=RATE), RATE)
    soundfile.write(tmp_path / "rooms" / "room.wav", np.eye(1, RATE // 4)[0], RATE)
    networks = [make_checkpoint(SPEC, seed) for seed in (0, 1)]
    for network, temperature in zip(networks, (0.5, 2.0), strict=True):
        network.model.temperature.fill_(temperature)
    (tmp_path / "checkpoints").mkdir()
    save_checkpoint(networks[0], tmp_path / "checkpoints" / "fast.safetensors")
    save_checkpoint(combine(networks), tmp_path / "checkpoints" / "default.safetensors")
    return networks


def test_neighbours_are_in_one_fold():
    names = [f"{genre}.{number:05}" for genre in ("blues", "rock") for number in range(100)]
    folds = out_of_fold.blocks(names, 3)
    assert sorted(name for fold in folds for name in fold) == sorted(names)
    assert {"blues.00030", "rock.00039", "rock.00000"} <= folds[0]
    assert {"blues.00029", "rock.00020", "rock.00099"} - folds[2] == {"rock.00099"}


def test_a_fold_is_judged_at_the_temperature_of_the_others(make_checkpoint):
    both = combine([make_checkpoint(SPEC, seed) for seed in (0, 1)])
    random = np.random.default_rng(0)

    def clips(share_right: float) -> list[MemberTrack]:
        rows = random.dirichlet(np.ones(10), 60).astype(np.float32)
        labels = np.where(random.uniform(size=60) < share_right, rows.argmax(axis=1), rows.argmin(axis=1))
        return [MemberTrack(str(n), int(label), [rows[[n]]] * 2) for n, label in enumerate(labels)]

    folds = [{"files": clips(share), "recordings": clips(share)} for share in (0.95, 0.6, 0.4)]
    others = [track for fold in folds[1:] for kind in ("files", "recordings") for track in fold[kind]]
    found = [out_of_fold._by_others(both, folds, place) for place in range(3)]
    assert found[0].temperature == calibrated(both, others)[0].temperature > found[1].temperature > found[2].temperature
    assert out_of_fold._by_others(both, folds[:1], 0) is both


def test_the_held_out_tracks_choose_for_the_shipped_networks(material, tmp_path, monkeypatch):
    asked = []

    def finished(path, request):
        # The networks of a fold have other weights than the shipped ones, and the temperatures of their recipes.
        network = material[request.recipe == "transfer"]
        network.model.temperature.fill_({"default": 0.65, "transfer": 1.0}[request.recipe])
        asked.append(request)
        save_checkpoint(replace(network, references=None), path.with_suffix(".safetensors"))
        return SimpleNamespace(best=path.with_suffix(".safetensors"))

    monkeypatch.setattr(out_of_fold, "finished_run", finished)
    options = {"mel": "mel", "audio": "pieces", "init-from": "msd", "noises": "noises", "rooms": "rooms", "out": "out"}
    arguments = [part for name, place in options.items() for part in (f"--{name}", str(tmp_path / place))]
    found = CliRunner().invoke(out_of_fold.app, [*arguments, "--write", str(tmp_path / "checkpoints")], catch_exceptions=False)
    assert [request.recipe for request in asked] == ["default", "transfer"] * 3
    splits = [list(csv.DictReader((tmp_path / "out" / f"fold-{number}.csv").read_text().splitlines())) for number in range(3)]
    held_out = [[row["track_id"] for row in rows if row["split"] == "valid"] for rows in splits]
    assert held_out == [[name for name in NAMES if int(name[-2:]) // 10 == number] for number in range(3)]
    assert sorted(path.name for path in (tmp_path / "out" / "clips-1" / "recordings").rglob("*.wav")) == [
        "blues.00012.wav",
        "rock.00012.wav",
    ]
    # The shipped networks now answer as the chosen mix does; here the networks of all folds are the shipped ones.
    joined = load_checkpoint(tmp_path / "checkpoints" / "default.safetensors")
    report = evaluate(tmp_path / "pieces", joined)
    assert f"joined, files: n = 8, {report.accuracy:.1%}" in found.output
    assert f"log-loss {report.log_loss:.3f}" in next(
        line for line in found.output.splitlines() if line.startswith("joined, files")
    )
    assert joined.metrics["out_of_fold"]["n_tracks"] == 16
    assert len(joined.references.labels) == 16
    alone = load_checkpoint(tmp_path / "checkpoints" / "fast.safetensors")
    assert alone.members[0].temperature == pytest.approx(1.0)
    assert f"log-loss {evaluate(tmp_path / 'mel', alone).log_loss:.3f}" in found.output
    # The mix that was written is the one that was chosen, also by the networks of a fold.
    path = tmp_path / "checkpoints" / "default.safetensors"
    fast = (tmp_path / "checkpoints" / "fast.safetensors").read_bytes()
    save_checkpoint(replace(joined, temperature=1.0), path)
    arguments += ["--mix", str(path)]
    again = CliRunner().invoke(out_of_fold.app, [*arguments, "--write", str(path.parent)], catch_exceptions=False)
    kept = load_checkpoint(path)
    assert [(m.weight, m.temperature) for m in kept.members] == [(m.weight, m.temperature) for m in joined.members]
    assert (kept.temperature, kept.sure) == (pytest.approx(joined.temperature, rel=1e-3), joined.sure)
    assert (tmp_path / "checkpoints" / "fast.safetensors").read_bytes() == fast
    assert kept.metrics["out_of_fold"]["n_tracks"] == 16
    assert len(kept.references.labels) == 8  # the files
    assert again.output.splitlines()[-12:] == found.output.splitlines()[-12:]  # all temperatures of the mean are at their bound
    one = CliRunner().invoke(out_of_fold.app, [*arguments, "--only", "1"], catch_exceptions=False)
    assert "joined, files: n = 2," in one.output
    none = CliRunner().invoke(out_of_fold.app, [*arguments, "--only", "3"])
    assert none.exit_code == 2
    assert "there is no fold 3; the folds are 0 to 2" in none.output
    # Without the other network, a member of the mix is as sure as it is alone.
    assert float(joined.model.temperature) == pytest.approx(float(alone.model.temperature))
