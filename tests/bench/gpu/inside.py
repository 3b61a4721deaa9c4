"""What needs CUDA within Python: ``python -m tests.bench.gpu.inside WHAT RESULT.json DEVICE ...``, a process for each."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from genre_app import classify, load_checkpoint, members
from genre_app.audio import Clip
from genre_app.audio.synth import STYLES, music
from genre_app.checkpoint import Checkpoint
from genre_app.data.dataset import Dataset
from genre_app.progress import Monitor, StoppedError
from genre_app.runs import events
from genre_app.runs.data import open_data
from genre_app.runs.host import prepare_process
from genre_app.runs.request import Request
from genre_app.runs.run import Run, runs_folder
from genre_app.runs.settings import read_settings
from genre_app.runs.status import Status
from genre_app.training import TrainConfig, fit
from genre_app.training.datasets import load_split
from genre_app.training.steps import Steps

_PARTS = 2.5  # of the network's memory that the limit leaves: so the batch must be cut twice
_CLIP_SECONDS = 30.0
_WARM_UP = 3
_THREADS = 4
_POLL_SECONDS = 0.1


def precision(device: torch.device, data: str, recipe: str, epochs: str) -> dict[str, Any]:
    """Train with each precision; seconds of an epoch without validation, and the scores after the last one."""
    found: dict[str, Any] = {"epochs": int(epochs)}
    for name in ("bfloat16", "float32"):
        config, train, valid = _opened(
            device, data, recipe, f"precision={name}", f"epochs={epochs}", f"validate_every={epochs}"
        )
        if device.type == "cuda":
            torch.cuda.reset_peak_memory_stats()
        times, began = [], time.perf_counter()
        for result in fit(config, train, valid, device=device):
            _finish(device)
            times.append(time.perf_counter() - began)
            log_loss, accuracy = result.valid_log_loss, result.valid_accuracy
            began = time.perf_counter()
        found[name] = {
            "epoch_seconds": float(np.median(times[1:-1])),  # the first warms up, the last is validated
            "log_loss": log_loss,
            "accuracy": accuracy,
            "memory_bytes": torch.cuda.max_memory_allocated() if device.type == "cuda" else 0,
        }
    return found


def step(device: torch.device, data: str, recipe: str, steps: str) -> dict[str, Any]:
    """Time steps as they are, then part by part with a wait for the device after each, then count their kernels."""
    n_steps = int(steps)
    config, train, valid = _opened(device, data, recipe, "epochs=10000", "validate_every=1000")  # none is validated here
    times: list[float] = []
    parts: dict[str, list[float]] = {"_next_batch": [], "_learn": []}
    kernels: dict[str, Any] = {"kernels": 0.0, "kernels_ms": 0.0, "most_time": {}}
    profiler = torch.profiler.profile() if device.type == "cuda" else None

    def timed(name: str, part: Callable[..., Any], *arguments: Any) -> Any:
        _finish(device)
        began = time.perf_counter()
        result = part(*arguments)
        _finish(device)
        parts[name].append(time.perf_counter() - began)
        return result

    def on_step(_: object) -> None:
        done = len(times) + 1
        if done in (_WARM_UP, _WARM_UP + n_steps):
            _finish(device)
        times.append(time.perf_counter())
        if done == _WARM_UP + n_steps:
            for name in parts:
                plain = getattr(Steps, name)
                setattr(Steps, name, lambda *arguments, _of=(name, plain): timed(*_of, *arguments))
                undo[name] = plain
        if done == _WARM_UP + 2 * n_steps:
            for name, plain in undo.items():
                setattr(Steps, name, plain)
            if profiler is not None:
                profiler.start()

    undo: dict[str, Any] = {}
    n_profiled = 8 if profiler is not None else 0
    with suppress(StoppedError):
        for _ in fit(
            config,
            train,
            valid,
            device=device,
            on_step=on_step,
            monitor=Monitor(should_stop=lambda: len(times) >= _WARM_UP + 2 * n_steps + n_profiled),
        ):
            pass
    if profiler is not None:
        _finish(device)
        profiler.stop()
        kernels = _kernels(profiler, n_profiled)
    natural = (times[_WARM_UP + n_steps - 1] - times[_WARM_UP - 1]) / n_steps
    apart = (times[_WARM_UP + 2 * n_steps - 1] - times[_WARM_UP + n_steps - 1]) / n_steps
    batch, learn = (float(np.mean(parts[name])) for name in ("_next_batch", "_learn"))
    return {
        "step_ms": 1000 * natural,
        "batch_ms": 1000 * batch,
        "learn_ms": 1000 * learn,
        "rest_ms": 1000 * (apart - batch - learn),
        "batch_size": config.batch_size,
        **kernels,
    }


def clips(device: torch.device, n_clips: str, n_on_cpu: str) -> dict[str, Any]:
    """Classify clips of 30 s that lie in memory; how many a second, one after the other and in threads."""
    found: dict[str, Any] = {"threads": torch.get_num_threads(), "devices": {}}
    wanted = {device.type: int(n_clips)} | ({"cpu": int(n_on_cpu)} if device.type != "cpu" else {})
    for name, count in wanted.items():
        checkpoint = load_checkpoint("fast", device=name)
        pieces = [music(style, _CLIP_SECONDS, checkpoint.sample_rate) for style in STYLES]
        rate = checkpoint.sample_rate
        songs = [Clip(np.roll(pieces[i % len(pieces)], 5000 * i), rate, name=f"clip {i}") for i in range(count)]
        for song in songs[:_WARM_UP]:
            classify(song, checkpoint)
        spent, seconds = _classified(songs, checkpoint)
        began = time.perf_counter()
        with ThreadPoolExecutor(_THREADS) as threads:
            list(threads.map(lambda song, checkpoint=checkpoint: classify(song, checkpoint), songs))
        found["devices"][name] = {
            "clips": count,
            "clips_per_second": count / seconds,
            "in_threads": count / (time.perf_counter() - began),
            "shares": {part: of_part / seconds for part, of_part in spent.items()},
        }
    return found


def memory(device: torch.device, *arguments: str) -> dict[str, Any]:
    """Train as ``python -m train`` does, with too little memory from the second step on; without a GPU, by a false error."""
    from genre_app.cli import build

    create, learn, gradient = Steps.__init__, Steps._learn, Steps._gradient
    found: dict[str, Any] = {}

    def limited(loop: Steps, db: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        if found:
            return learn(loop, db, targets)
        if device.type != "cuda":
            found["limit"] = "without a GPU, an error instead of a limit"
            return learn(loop, db, targets)
        held, of_batch = torch.cuda.memory_allocated(), torch.cuda.max_memory_allocated()
        torch.cuda.reset_peak_memory_stats()
        loss = learn(loop, db, targets)
        torch.cuda.synchronize()
        peak = torch.cuda.max_memory_allocated()
        limit = max(1.15 * of_batch, held + (peak - held) / _PARTS)
        if limit > 0.9 * peak:
            sys.exit(
                f"making the batch takes {of_batch / 1e9:.2f} GB and the gradient {peak / 1e9:.2f} GB: no limit lies between"
            )
        torch.cuda.empty_cache()
        torch.cuda.set_per_process_memory_fraction(limit / torch.cuda.get_device_properties(0).total_memory)
        found["limit"] = f"a step takes {peak / 1e9:.2f} GB, and {limit / 1e9:.2f} GB were left"
        return loss

    def failing(loop: Steps, db: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        if found and device.type != "cuda" and loop.state.progress.pieces < 4:
            raise torch.OutOfMemoryError("out of memory, not really")
        return gradient(loop, db, targets)

    def create_plainly(loop: Steps, *of: Any) -> None:
        """Without groups of batches and CUDA graphs, which take the memory of all steps at the first one."""
        create(loop, *of)
        loop.n_at_once, loop.records = 1, False

    Steps.__init__, Steps._learn, Steps._gradient = create_plainly, limited, failing
    build()(["train", *arguments], standalone_mode=False)
    return found


def page(device: torch.device, data: str, form: str, seconds: str) -> dict[str, Any]:
    """Press the buttons of the Train tab by the page's own handlers, and wait until the run has finished."""
    try:
        import gradio  # noqa: F401
    except ModuleNotFoundError:
        return {"skipped": "gradio is not installed"}
    from genre_app.ui.page import build_app
    from tests.ui.train.page import TINY, begin, looked, words

    deadline = time.monotonic() + float(seconds)
    changes = TINY if form == "tiny" else {"set-epochs": 3, "set-columns": "data"}
    app = build_app()
    shown, values = looked(app, **changes, **{"train-source": data})
    checked = shown[-1]["State"]
    if checked.plan is None:
        sys.exit(f"the data were not taken: {words(shown[-1]['plan'])}")
    told = begin(app, values, checked)
    if "run-chosen" not in told:
        sys.exit(f"the run did not start: {words(told['plan'])}")
    run = Run(runs_folder() / told["run-chosen"])
    while run.status() is not Status.finished:
        if not run.status().is_active or time.monotonic() > deadline:
            sys.exit(f"the run is {run.status()}: {run.log_tail(1)}")
        time.sleep(_POLL_SECONDS)
    return {
        "run": run.name,
        "device": run.journal().last(events.Started).device,
        "planned_device": checked.plan.device,
        "planned_epoch_seconds": checked.plan.epoch_seconds,
        "epochs": len(run.journal().epochs),
        "checkpoint_device": load_checkpoint(run.best).provenance["device"],
    }


def _opened(device: torch.device, data: str, recipe: str, *settings: str) -> tuple[TrainConfig, Dataset, Dataset]:
    """Open the data as `genre_app.runs.executor` does."""
    threads = min(2, torch.get_num_threads())
    request = Request(recipe=recipe, data=data, settings=read_settings(settings), columns="data", threads=threads)
    prepare_process(request.threads)
    found, config = open_data(request, request.config(), processes=2)
    return config, load_split(found, "train", config, device), load_split(found, "valid", config, device)


def _classified(songs: list[Clip], checkpoint: Checkpoint) -> tuple[dict[str, float], float]:
    """Classify clips one after the other; return the seconds of features, network and the rest, and of all."""
    spent = dict.fromkeys(("features", "network"), 0.0)

    def timed(name: str, part: Callable[..., Any], *arguments: Any) -> Any:
        began = time.perf_counter()
        result = part(*arguments)
        _finish(checkpoint.device)
        spent[name] += time.perf_counter() - began
        return result

    features, network = members.segment_features, Checkpoint.probabilities
    members.segment_features = partial(timed, "features", features)
    Checkpoint.probabilities = lambda *arguments: timed("network", network, *arguments)
    try:
        began = time.perf_counter()
        for song in songs:
            classify(song, checkpoint)
        seconds = time.perf_counter() - began
    finally:
        members.segment_features, Checkpoint.probabilities = features, network
    return {**spent, "reading and vote": seconds - sum(spent.values())}, seconds


def _kernels(profiler: Any, n_steps: int) -> dict[str, Any]:
    """Count what ran on the GPU in a step, and name the operations that took most of the processor's time."""
    on_gpu = [event for event in profiler.events() if event.device_type == torch.autograd.DeviceType.CUDA]
    averages = sorted(profiler.key_averages(), key=lambda of: of.self_cpu_time_total, reverse=True)
    return {
        "kernels": len(on_gpu) / n_steps,
        "kernels_ms": sum(event.time_range.elapsed_us() for event in on_gpu) / 1000 / n_steps,
        "most_time": {of.key: round(of.self_cpu_time_total / 1000 / n_steps, 3) for of in averages[:12]},
    }


def _finish(device: torch.device) -> None:
    """Wait until the device has done what it was asked."""
    if device.type == "cuda":
        torch.cuda.synchronize()


if __name__ == "__main__":
    what, result, on, *rest = sys.argv[1:]
    functions = {"precision": precision, "step": step, "clips": clips, "memory": memory, "page": page}
    Path(result).write_text(json.dumps(functions[what](torch.device(on), *rest)))
