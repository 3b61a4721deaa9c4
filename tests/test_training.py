"""The training loop and command on a synthesised mel cache."""

from __future__ import annotations

import csv
import importlib
import json

import numpy as np
import pytest
import torch

from genre_app.checkpoint import load_checkpoint
from genre_app.data.dataset import MelDataset
from genre_app.data.mel_cache import DataError, MelCache
from genre_app.evaluation import evaluate
from genre_app.features import COLUMN_FIELDS, FeatureSpec
from genre_app.training import TrainConfig, fit
from train import run

fit_module = importlib.import_module("genre_app.training.fit")  # the package's own `fit` is the function

SPEC = FeatureSpec(n_mels=32, segment_seconds=2.0, segment_hop_seconds=1.0)
CPU = torch.device("cpu")
CONFIG = TrainConfig(
    model_settings={"channels": [8, 16], "pools": [[4, 2], [4, 4]], "dropout": 0.1},
    spec=SPEC,
    epochs=6,
    segments_per_track=3,
    batch_size=16,
    learning_rate=0.01,
    average_decay=0.9,
    validate_every=2,
    augment={
        "mild_share": 0.5,
        "mild": {"noise_probability": 0.5, "pitch_probability": 0.5, "equaliser_probability": 0.5},
        "mask_probability": 0.3,
        "mask_bins": 4,
        "mask_frames": 4,
        "mixup_probability": 0.5,
    },
)


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    """Two genres told apart by their beat alone, not by level or spectrum: every 4 frames against every 6."""
    folder = tmp_path_factory.mktemp("cache")
    rng = np.random.default_rng(0)
    stated = {"kind": "log_mel"} | {name: getattr(SPEC, name) for name in COLUMN_FIELDS}
    (folder / "spec.json").write_text(json.dumps(stated))
    columns = []
    with (folder / "index.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["track_id", "genre", "split", "offset", "n_frames"])
        for i in range(40):
            genre = i % 2
            writer.writerow([f"t{i:02}", ["four", "six"][genre], "valid" if i >= 28 else "train", i * 120, 120])
            beat = -3.0 * ((np.arange(120) + rng.integers(12)) % (4, 6)[genre])
            spectrum = rng.normal(-40, 8, 32) + rng.uniform(-15, 15)
            columns.append(spectrum[None, :] + beat[:, None] + rng.normal(0, 1.5, (120, 32)))
    np.save(folder / "log_mel.npy", np.concatenate(columns).astype(np.float16))
    return MelCache.open(folder)


def datasets(cache, valid_from=28):
    tracks = list(cache.tracks)
    return [MelDataset.from_cache(cache, part, ["four", "six"], SPEC, CPU) for part in (tracks[:28], tracks[valid_from:])]


def weights(result):
    return torch.cat([value.float().flatten() for value in result.model.state_dict().values()])


def run_all(cache, **changes):
    return list(fit(CONFIG.model_copy(update=changes), *datasets(cache), device=CPU, choose=False))


def test_it_learns_two_genres(cache):
    results = list(fit(CONFIG.model_copy(update={"epochs": 25}), *datasets(cache), device=CPU))
    best = [result for result in results if result.model is not None][-1]
    assert best.valid_accuracy > 0.95
    assert best.valid_log_loss == min(r.valid_log_loss for r in results if r.valid_log_loss is not None)
    assert results[-1].train_loss < results[0].train_loss


def test_the_same_seed_gives_the_same_weights_to_the_bit(cache):
    first, again, other = run_all(cache), run_all(cache), run_all(cache, seed=1)
    assert torch.equal(weights(first[-1]), weights(again[-1]))
    assert [r.train_loss for r in first] == [r.train_loss for r in again]
    assert not torch.equal(weights(first[-1]), weights(other[-1]))


def test_training_leaves_the_callers_random_numbers_alone(cache):
    torch.manual_seed(3)
    expected = torch.rand(3)
    torch.manual_seed(3)
    steps = fit(CONFIG, *datasets(cache), device=CPU)
    next(steps)
    assert torch.equal(torch.rand(3), expected)


def test_epochs_are_validated_when_asked(cache):
    results = run_all(cache, epochs=5)
    assert [r.epoch for r in results] == [1, 2, 3, 4, 5]
    assert [r.valid_accuracy is not None for r in results] == [False, True, False, True, True]
    assert [r.model is not None for r in results] == [False] * 4 + [True]


def test_the_learning_rate_rises_then_falls(cache):
    rates = [r.learning_rate for r in run_all(cache, epochs=8, warmup=0.25)]
    assert rates[1] == pytest.approx(CONFIG.learning_rate, rel=0.1)
    assert rates[0] < rates[1] > rates[3] > rates[5] > rates[7]
    assert rates[7] < 0.05 * CONFIG.learning_rate


def test_standardisation_comes_from_the_training_tracks(cache):
    train, valid = datasets(cache)
    (result,) = fit(CONFIG.model_copy(update={"epochs": 1}), train, valid, device=CPU)
    prepared = result.model.prepare(train.segments()[0])
    torch.testing.assert_close(result.model.bin_mean, prepared.mean(dim=(0, 2)))
    torch.testing.assert_close(result.model.bin_std, prepared.std(dim=(0, 2)))


def test_a_track_on_both_sides_is_refused(cache):
    with pytest.raises(DataError, match=r"1 tracks are in both training and validation, t27"):
        next(fit(CONFIG, *datasets(cache, valid_from=27), device=CPU))


@pytest.mark.parametrize("count", [30, 64, 101])
def test_genres_and_tracks_are_drawn_evenly(count):
    labels = torch.tensor([0] * 20 + [1] * 5 + [2] * 2)
    order = fit_module._order(labels, 3, count, torch.Generator().manual_seed(0))
    assert len(order) == count
    genres = torch.bincount(labels[order], minlength=3)
    assert genres.max() - genres.min() <= 1
    for genre in range(3):
        drawn = torch.bincount(order, minlength=27)[labels == genre]
        assert drawn.max() - drawn.min() <= 1
    assert not torch.equal(order, order.sort().values)
    assert not torch.equal(order, fit_module._order(labels, 3, count, torch.Generator().manual_seed(1)))


def test_bfloat16_learns_too(cache):
    results = run_all(cache, epochs=25, precision="bfloat16")
    assert results[-1].valid_accuracy > 0.9
    assert results[-1].model.members[0].head.weight.dtype == torch.float32


@pytest.fixture
def recipe(tmp_path):
    path = tmp_path / "beat.toml"
    path.write_text(
        """
        epochs = 12
        segments_per_track = 3
        batch_size = 16
        learning_rate = 0.01
        average_decay = 0.9
        model_settings = { channels = [8, 16], pools = [[4, 2], [4, 4]] }
        spec = { n_mels = 32, segment_seconds = 2.0, segment_hop_seconds = 1.0 }
        """
    )
    return path


def test_the_command_writes_a_checkpoint_and_a_card_that_agree_with_evaluate(cache, recipe, tmp_path, monkeypatch):
    monkeypatch.setattr(run, "_prepare", lambda threads: CPU)  # the thread count is the whole process's
    out = run.train(str(recipe), cache.path, tmp_path / "out" / "beat.safetensors", [], None, 1)
    checkpoint = load_checkpoint(out)
    report = evaluate(cache.path, checkpoint, split="valid")
    assert checkpoint.metrics["valid"] == json.loads(json.dumps(report.to_dict()))
    assert checkpoint.provenance["config"]["epochs"] == 12
    assert checkpoint.references is not None
    assert len(checkpoint.references.labels) == 28
    card = out.with_suffix(".md").read_text()
    low, high = report.accuracy_interval
    assert f"| 12 | {report.accuracy:.1%} | {low:.1%} to {high:.1%} | {report.log_loss:.3f} |" in card
    assert "--data DATA" in card
    assert str(tmp_path) not in card.replace(str(recipe), "")
    summary = run.cross_validate(str(recipe), cache.path, out, [], None, 1, 4)
    assert summary["n_tracks"] == 40  # each track was held out once
    assert summary["accuracy"] > 0.9
    assert "4 folds" in out.with_suffix(".md").read_text()


def test_recipes_are_read_and_changed(recipe):
    config, name = run.read_recipe(str(recipe), ["epochs=3", "augment.mild_share=0.25", "precision=bfloat16"], 9)
    assert (name, config.epochs, config.augment.mild_share, config.precision, config.seed) == ("beat", 3, 0.25, "bfloat16", 9)


@pytest.mark.parametrize(
    ("name", "settings", "message"),
    [
        ("nothing", [], "no recipe 'nothing'; choose one of: .*default"),
        ("default", ["epoch=3"], "default.toml: epoch: Extra inputs"),
        ("default", ["epochs=0"], "epochs: .*greater than or equal to 1"),
        ("default", ["epochs"], "must read FIELD=VALUE"),
    ],
)
def test_wrong_recipes_and_settings_are_named(name, settings, message):
    with pytest.raises(ValueError, match=message):
        run.read_recipe(name, settings, None)


def test_every_recipe_of_the_project_is_valid():
    paths = list((run.Path(run.__file__).parent / "recipes").glob("*.toml"))
    assert paths
    for path in paths:
        assert run.read_recipe(path.stem, [], None)[1] == path.stem


def test_a_cache_of_another_specification_is_refused(cache, recipe, tmp_path):
    with pytest.raises(DataError, match="n_mels 32, the recipe needs 64"):
        run.train(str(recipe), cache.path, tmp_path / "x.safetensors", ["spec.n_mels=64"], None, 1)
