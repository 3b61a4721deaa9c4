"""The outputs that are recorded, section by section. Of these tests only this file imports from inside `genre_app`."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import chdir, contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import soundfile
import torch
from safetensors.torch import load_file
from typer.testing import CliRunner

from genre_app import Clip, classify, load_checkpoint
from genre_app.audio.synth import STYLES, music
from genre_app.augment.config import LogMelConfig
from genre_app.augment.logmel import apply_chain, augment, draw_rates
from genre_app.augment.presets import PRESETS
from genre_app.augment.preview import preview
from genre_app.augment.waveform import augment_waveform
from genre_app.cli import build
from genre_app.data.cache.mel_cache import MelCache
from genre_app.data.dataset import MelDataset
from genre_app.evaluation.conditions.report import evaluate_conditions
from genre_app.features import FeatureSpec, extract
from genre_app.predict import Prediction
from genre_app.runs import executor as job
from genre_app.runs.events import Started
from genre_app.runs.recipes import read_recipe
from genre_app.runs.run import Run
from genre_app.runs.settings import read_settings
from genre_app.training.config import TrainConfig
from genre_app.training.fit import fit
from genre_app.training.state import TrainState
from genre_app.vote import available_votes
from tests.reference.material import CHAIN_PARTS, CONDITIONS, FOLDER, RATE, RECIPES, WAVEFORM_PARTS, noise, write_cache
from tests.reference.record import summarised, weights_digest

BUNDLED = "fast"
"""The bundled checkpoint whose answers are recorded. It computes in float32, so that processors agree."""


@lru_cache
def clips() -> dict[str, Clip]:
    """Return music of several lengths, one piece of it with noise 20 dB under it."""
    lengths = {"blues": 12.0, "classical": 7.5, "disco": 4.0, "metal": 9.0, "reggae": 20.0}
    found = {style: Clip(music(style, lengths[style], RATE, seed), RATE, style) for seed, style in enumerate(STYLES)}
    quiet = np.float32(0.16) * noise(12.0)  # music has an RMS of 0.16, noise one of 0.1
    found["disco and noise"] = Clip(music("disco", 12.0, RATE, 11) + quiet, RATE, "disco and noise")
    return found


def answers(prediction: Prediction, votes: tuple[str, ...]) -> dict[str, Any]:
    """Return all numbers of a prediction."""
    return {
        "segments": prediction.segment_probabilities.tolist(),
        "starts": prediction.segment_starts.tolist(),
        "sounds": prediction.segment_sounds.tolist(),
        "votes": {vote: prediction.revote(vote).probabilities.tolist() for vote in votes},
        "warnings": list(prediction.warnings),
    }


def probabilities(_: Path) -> dict[str, Any]:
    """Classify clips with the bundled checkpoint, by every vote."""
    checkpoint = load_checkpoint(BUNDLED)
    votes = available_votes(checkpoint.references)
    found = {name: answers(classify(clip, checkpoint), votes) for name, clip in clips().items()}
    found["blues, overlapping"] = answers(classify(clips()["blues"], checkpoint, overlap=0.75), votes)
    return found


def features(_: Path) -> dict[str, Any]:
    """Extract features of each kind, and those that the bundled checkpoint takes."""
    specs = {kind: FeatureSpec(kind=kind, n_mels=64) for kind in ("log_mel", "mfcc", "mfcc_delta")}
    specs["default"] = load_checkpoint(BUNDLED).spec
    return {name: summarised(extract(_segments(spec), spec)) for name, spec in specs.items()}


def summary(_: Path) -> list[float]:
    """Extract the 58 summary features."""
    spec = FeatureSpec(kind="summary", hop_length=512)
    found = extract(_segments(spec)[:1], spec)
    return [float(value) for value in found.flatten()]


def _segments(spec: FeatureSpec) -> torch.Tensor:
    return torch.from_numpy(np.stack([clips()[name].samples[: spec.segment_samples] for name in ("blues", "classical")]))


def chains(_: Path) -> dict[str, Any]:
    """Augment a batch of log-mel segments by each part of a chain, each preset, and the chains of recipes."""
    spec = read_recipe("default").spec
    samples = np.stack([music(style, spec.segment_seconds + 0.2, RATE, seed) for style in STYLES for seed in (1, 2)])
    db = extract(torch.from_numpy(samples[:, : spec.segment_samples]), spec)
    targets = torch.eye(len(db))
    parts = {part: LogMelConfig(**{f"{part}_probability": 1.0}) for part in CHAIN_PARTS}
    found: dict[str, Any] = {part: summarised(apply_chain(db, config, spec, _seeded())) for part, config in parts.items()}
    configs = {f"preset {name}": preset for name, preset in PRESETS.items()}
    configs |= {f"recipe {name}": read_recipe(name).augment for name in ("default", "mlp", "umass-baseline-noise")}
    for name, config in configs.items():
        changed, mixed = augment(db, targets, config, spec, _seeded())
        rates = draw_rates(len(db), config, _seeded()).tolist()
        found[name] = {"db": summarised(changed), "targets": summarised(mixed), "rates": rates}
    return found


def _seeded() -> torch.Generator:
    return torch.Generator().manual_seed(3)


def waveforms(_: Path) -> dict[str, Any]:
    """Augment samples by each part, and by all parts with a half of the probability, for several seeds."""
    samples = clips()["disco"].samples
    chosen = {part: {f"{part}_probability": 1.0} for part in WAVEFORM_PARTS}
    found = {part: _augmented(samples, {"waveform": values}, 5) for part, values in chosen.items()}
    everything = {"waveform": {f"{part}_probability": 0.5 for part in WAVEFORM_PARTS}}
    return found | {f"all, seed {seed}": _augmented(samples, everything, seed) for seed in range(6)}


def _augmented(samples: np.ndarray, augmentation: dict[str, Any], seed: int) -> dict[str, Any]:
    config = TrainConfig.model_validate({"augment": augmentation}).augment.waveform
    return summarised(augment_waveform(samples, RATE, config, seed))


def previews(_: Path) -> dict[str, Any]:
    """Preview each preset."""
    samples, other = clips()["blues"].samples[: 5 * RATE], clips()["metal"].samples
    return {
        f"{name}, seed {seed}": summarised(preview(samples, RATE, name, seed, other)) for name in PRESETS for seed in (0, 1)
    }


def training(work: Path) -> dict[str, Any]:
    """Train recipes for two epochs on a small mel cache."""
    found = {}
    for name, settings in RECIPES.items():
        config = read_recipe(name, read_settings((*settings, "epochs=2", "validate_every=1")), seed=1)
        cache = MelCache.open(write_cache(work / name, config.spec, config.spec.segment_frames + 30))
        cpu = torch.device("cpu")
        train, valid = (
            MelDataset.from_cache(cache, tracks, ("blues", "metal"), config.spec, cpu)
            for tracks in (cache.tracks[:8], cache.tracks[8:])
        )
        state = TrainState.begin(config, train, cpu)
        epochs = [
            {"train": epoch.train_loss, "valid": epoch.valid_log_loss, "recorded": epoch.recorded_log_loss}
            for epoch in fit(config, train, valid, device=cpu, state=state)
        ]
        found[name] = {"epochs": epochs, "weights": weights_digest(state.model.state_dict(), state.average.state_dict())}
    return found


def conditions(work: Path) -> dict[str, Any]:
    """Evaluate the bundled checkpoint on a folder of music, under a few conditions too."""
    for seed, style in enumerate(STYLES):
        (work / "music" / style).mkdir(parents=True)
        soundfile.write(work / "music" / style / "one.wav", music(style, 6.5 + seed, RATE, 20 + seed), RATE)
    return _as_recorded(evaluate_conditions(work / "music", load_checkpoint(BUNDLED), CONDITIONS).to_dict())


def _as_recorded(report: dict[str, Any]) -> dict[str, Any]:
    """Return a report without the keys that are newer than the recorded outputs."""
    return {key: value for key, value in report.items() if key not in ("ece", "notes")}


def _written(work: Path, *names: str) -> list[str]:
    for name in names:
        soundfile.write(work / f"{name}.wav", clips()[name].samples, RATE)
    return [f"{name}.wav" for name in names]


def api(work: Path) -> dict[str, Any]:
    """Ask the functions behind the endpoints for two clips."""
    from genre_app.ui.api import classify as one
    from genre_app.ui.api import classify_batch as many

    files = [str(work / name) for name in _written(work, "blues", "classical")]
    return {
        "classify": [one(file, checkpoint=BUNDLED) for file in files],
        "knn": one(files[0], checkpoint=BUNDLED, vote="knn", overlap=0.75),
        "batch": many(files, checkpoint=BUNDLED),
    }


def command(work: Path) -> dict[str, Any]:
    """Classify two files with the command line."""
    files = _written(work, "disco", "metal")
    jsonl, table = (_command(work, "classify", *files, "--format", kind) for kind in ("jsonl", "csv"))
    return {"jsonl": [json.loads(line) for line in jsonl], "csv": table}


def _command(work: Path, *arguments: str) -> list[str]:
    with chdir(work):
        result = CliRunner().invoke(build(), [*arguments, "--checkpoint", BUNDLED, "--threads", "1"])
    if result.exit_code:
        raise RuntimeError(result.output)
    return result.stdout.splitlines()


def of_noise(work: Path) -> dict[str, Any]:
    """Classify noise by itself in every way; a section of its own, since what is said of noise may change."""
    from genre_app.ui.api import classify as one
    from genre_app.ui.api import classify_batch as many

    soundfile.write(work / "noise.wav", noise(8.0), RATE)
    checkpoint = load_checkpoint(BUNDLED)
    prediction = classify(Clip(noise(8.0), RATE, "noise"), checkpoint)
    return {
        "is_noise": prediction.is_noise,
        "probabilities": answers(prediction, available_votes(checkpoint.references)),
        "classify": one(str(work / "noise.wav"), checkpoint=BUNDLED),
        "batch": many([str(work / "noise.wav")], checkpoint=BUNDLED),
        "jsonl": [json.loads(line) for line in _command(work, "classify", "noise.wav", "--format", "jsonl")],
        "csv": _command(work, "classify", "noise.wav", "--format", "csv"),
    }


@contextmanager
def on_the_cpu() -> Iterator[None]:
    """Train runs here on the processor, and leave threads and memory as they are."""
    with mock.patch("torch.cuda.is_available", return_value=False), mock.patch.object(job, "prepare_process"):
        yield


def copy_old_run(work: Path) -> Run:
    """Copy the old run and its recipe, make its data again, and put these places into its ``run.json``."""
    run = Path(shutil.copytree(FOLDER / "old_run", work / "old_run"))
    shutil.copy(FOLDER / "old_recipe.toml", work)
    described = (run / "run.json").read_text(encoding="utf-8").replace("/data", work.as_posix())
    (run / "run.json").write_text(described, encoding="utf-8")
    write_cache(work / "cache", Run.open(run).description().config.spec, 60)
    return Run(run)


def old_run(work: Path) -> dict[str, Any]:
    """Finish the old run, and classify with the checkpoint that it had and the one that it then has."""
    run, clip = copy_old_run(work), clips()["blues"]
    before = answers(classify(clip, load_checkpoint(run.best)), ("mean",))
    with on_the_cpu():
        job.work(run, say=lambda _: None)
    names = ("epoch", "train_loss", "valid_log_loss", "recorded_log_loss", "confusion", "best")
    network = {key: value for key, value in load_file(run.best).items() if key.startswith("members.")}
    return {
        "before": before,
        "after": answers(classify(clip, load_checkpoint(run.best)), ("mean", "knn")),
        "went on from": [(event.epoch, event.step) for event in run.journal().events if isinstance(event, Started)],
        "status": str(run.status()),
        "epochs": [{name: getattr(event, name) for name in names} for event in run.journal().epochs],
        "weights": weights_digest(network),
        "valid": _as_recorded((run.report() or {})["valid"]),
    }


def old_waveform_recipe(_: Path) -> dict[str, Any]:
    """Augment by the settings of a recipe that has every key for waveforms and masks."""
    config = read_recipe(str(FOLDER / "old_waveform_recipe.toml"))
    samples = clips()["reggae"].samples[: 5 * RATE]
    db = extract(_segments(config.spec), config.spec).repeat(4, 1, 1)
    changed, mixed = augment(db, torch.eye(8), config.augment, config.spec, _seeded())
    found: dict[str, Any] = {
        f"seed {seed}": summarised(augment_waveform(samples, RATE, config.augment.waveform, seed)) for seed in range(4)
    }
    return found | {"db": summarised(changed), "targets": summarised(mixed)}


SECTIONS: dict[str, Callable[[Path], Any]] = {
    "probabilities": probabilities,
    "features": features,
    "summary": summary,
    "chains": chains,
    "waveforms": waveforms,
    "previews": previews,
    "training": training,
    "conditions": conditions,
    "api": api,
    "command": command,
    "noise": of_noise,
    "old_run": old_run,
    "old_waveform_recipe": old_waveform_recipe,
}
