"""The rows: what each measures, and how its numbers become one line."""

from __future__ import annotations

import json
import shutil
import socket
import statistics
import time
from contextlib import ExitStack
from typing import Any

from safetensors.torch import load_file

from genre_app.checkpoint import load_checkpoint
from genre_app.runs import events
from genre_app.runs.run import Run
from genre_app.runs.status import Status
from tests.bench.gpu.bench import Bench, Finding, Row, RowError
from tests.bench.gpu.usage import Usage

_MOST_SECONDS = 60.0  # of `default`, from the command to the model card
_LEAST_BUSY = 80.0  # percent of the time between the first and the last step
_AS_UNINTERRUPTED = 3.0  # times the difference of two uninterrupted runs: CUDA's sums have no fixed order


def default(bench: Bench) -> Finding:
    """Train the recipe completely; say where the time goes, and compare with the checkpoint trained on a CPU."""
    began = time.time()
    with Usage(bench.device) as usage:
        run = bench.train("default")
    ended = time.time()
    for name in ("journal.jsonl", "report.json"):
        shutil.copy(run.path / name, bench.out / f"default-{name}")
    parts = seconds_of(run, began, ended)
    epochs = run.journal().epochs
    busy = {"training": usage.busy(run.journal().last(events.Started).time, epochs[-1].time), "all": usage.busy(began, ended)}
    ours, theirs = (run.report() or {})["valid"], load_checkpoint("fast").metrics["valid"]
    low, high = theirs["accuracy_ci95"]
    inside = low <= ours["accuracy"] <= high
    wall = ended - began
    epoch = statistics.median(event.seconds for event in epochs)
    shares = ", ".join(f"{part} {seconds / wall:.0%}" for part, seconds in parts.items())
    text = (
        f"{wall:.1f} s ({shares}); {epoch:.2f} s an epoch; GPU busy {_percent(busy['training'])} of training and "
        f"{_percent(busy['all'])} of all; validation tracks right: {_scored(ours)}; "
        f"trained on a CPU: {_scored(theirs)}; the GPU's accuracy is {'inside' if inside else 'outside'} the CPU's interval"
    )
    missed = []
    if wall > _MOST_SECONDS:
        missed.append("time")
    if busy["training"] is not None and busy["training"] < _LEAST_BUSY:
        missed.append("GPU busy")
    if not inside:
        missed.append("accuracy")
    values = {
        "seconds": wall,
        "seconds_of_parts": parts,
        "epoch_seconds": epoch,
        "busy_percent": busy,
        "valid": _numbers(ours),
        "valid_of_the_cpu": _numbers(theirs),
        "inside_the_cpus_interval": inside,
    }
    return Finding(text, tuple(missed), values)


def seconds_of(run: Run, began: float, ended: float) -> dict[str, float]:
    """Split the time of a finished run into its parts, in seconds."""
    journal = run.journal()
    process, started = (journal.last(kind).time for kind in (events.Process, events.Started))
    gaps: dict[bool, list[float]] = {True: [], False: []}  # time of an epoch beside its steps, by whether it was validated
    before = started
    for epoch in journal.epochs:
        gaps[epoch.valid_log_loss is not None].append(epoch.time - before - epoch.seconds)
        before = epoch.time
    saving = statistics.median(gaps[False]) if gaps[False] else 0.0
    of_validation = sum(gaps[True]) - saving * len(gaps[True])
    return {
        "importing": process - began,
        "preparing": started - process,
        "steps": sum(epoch.seconds for epoch in journal.epochs),
        "validation": of_validation,
        "saving": sum(gaps[True]) + sum(gaps[False]) - of_validation,
        "final report": ended - before,
    }


def precision(bench: Bench) -> Finding:
    """Train a few epochs in bfloat16 and in float32."""
    found = bench.inside("precision", str(bench.data), bench.recipe, "4" if bench.quick else "20")
    half, whole = found["bfloat16"], found["float32"]
    text = (
        f"{half['epoch_seconds']:.3f} s an epoch against {whole['epoch_seconds']:.3f} s "
        f"({whole['epoch_seconds'] / half['epoch_seconds']:.2f} times as fast); after {found['epochs']} epochs "
        f"validation log-loss {half['log_loss']:.4f} against {whole['log_loss']:.4f}, "
        f"peak memory {half['memory_bytes'] / 1e9:.2f} GB against {whole['memory_bytes'] / 1e9:.2f} GB"
    )
    return Finding(text, (), found)


def step(bench: Bench) -> Finding:
    """Say where the time of a training step goes."""
    found = bench.inside("step", str(bench.data), bench.recipe, "3" if bench.quick else "40")
    text = (
        f"{found['step_ms']:.2f} ms a step; one part at a time: making the batch {found['batch_ms']:.2f} ms, "
        f"gradient {found['learn_ms']:.2f} ms, the rest {found['rest_ms']:.2f} ms"
    )
    if found["kernels"]:
        text += f"; {found['kernels']:.0f} kernels a step keep the GPU busy for {found['kernels_ms']:.2f} ms"
    return Finding(text, (), found)


def clips(bench: Bench) -> Finding:
    """Classify many clips on the GPU and on the CPU."""
    found = bench.inside("clips", *(("4", "2") if bench.quick else ("200", "40")))
    parts = []
    for device, of_device in found["devices"].items():
        shares = ", ".join(f"{part} {share:.0%}" for part, share in of_device["shares"].items())
        parts.append(
            f"{device} {of_device['clips_per_second']:.1f} clips/s ({shares}), {of_device['in_threads']:.1f} in 4 threads"
        )
    return Finding("; ".join(parts), (), found)


def memory(bench: Bench) -> Finding:
    """Limit the GPU's memory after the first step, so that the next one does not fit."""
    arguments = bench.train_arguments("memory", "epochs=2", f"batch_size={16 if bench.quick else 512}")
    found = bench.inside("memory", *arguments)
    run = bench.finished("memory")
    warnings = [event.message for event in run.journal().events if isinstance(event, events.Warned)]
    if not any(text.startswith("out of memory") for text in warnings):
        raise RowError("the run finished without running out of memory, so nothing was shown")
    last = run.journal().epochs[-1]
    text = f"{found['limit']}; the run said '{warnings[-1]}', and finished after epoch {last.epoch}"
    return Finding(text, (), {**found, "warnings": warnings, "valid_log_loss": last.valid_log_loss})


def kill(bench: Bench) -> Finding:
    """Kill a run, resume it, and compare its weights with those of two uninterrupted runs."""
    settings = (f"epochs={24 if bench.quick else 8}", "keep=last", "validate_every=2")
    with ExitStack() as held:
        names = ("whole-1", "whole-2", "killed")
        processes = {
            name: held.enter_context(bench.process(name, "-m", "train", *bench.train_arguments(name, *settings)))
            for name in names
        }
        killed, process = bench.run("killed"), processes["killed"]
        bench.wait_for(killed, process, lambda: len(killed.journal().epochs) >= 2)
        time.sleep(0.5 * killed.journal().epochs[-1].seconds)  # into the middle of the next epoch
        process.kill()
        process.wait()
        status, after = killed.status(), len(killed.journal().epochs)
        if status is not Status.died:
            raise RowError(f"after SIGKILL the run is {status}, not died: it ended before the signal came")
        bench.python("killed", "-m", "train", "--resume", str(killed.path))
        for name in names[:2]:
            bench.end(processes[name], name)
    one, other, resumed = (bench.finished(name) for name in names)
    same = _furthest(one, other)
    off = _furthest(one, resumed)
    text = (
        f"killed after {after} of {len(resumed.journal().epochs)} epochs, resumed and finished; weights differ from an "
        "uninterrupted "
        f"run by {off:.2g} at most, those of two uninterrupted runs by {same:.2g}; validation log-loss "
        + ", ".join(f"{run.journal().epochs[-1].valid_log_loss:.5f}" for run in (resumed, one, other))
    )
    values = {"killed_after": after, "resumed_differs": off, "uninterrupted_differ": same}
    return Finding(text, ("same weights",) if off > _AS_UNINTERRUPTED * same else (), values)


def processes(bench: Bench) -> Finding:
    """Train one network with two processes on one device."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    if bench.device == "cuda":
        launch = [
            "accelerate.commands.launch",
            "--multi_gpu",
            "--num_processes",
            "2",
            "--main_process_port",
            port,
            "-m",
            "train",
        ]
    else:  # for processors, accelerate launch wants MPI
        launch = ["torch.distributed.run", "--nproc_per_node", "2", "--master_port", port, "-m", "train"]
    bench.python("processes", "-m", *launch, *bench.train_arguments("processes", "epochs=3", "validate_every=1"))
    run = bench.finished("processes")
    started = run.journal().last(events.Started)
    epochs = run.journal().epochs
    losses = [epoch.train_loss for epoch in epochs]
    text = (
        f"{started.processes} processes on {started.device}: {statistics.median(e.seconds for e in epochs):.2f} s an "
        f"epoch, training loss {losses[0]:.3f} to {losses[-1]:.3f} in {len(epochs)} epochs"
    )
    missed = ("two processes",) if started.processes != 2 else ("a loss that falls",) if losses[-1] >= losses[0] else ()
    return Finding(text, missed, {"processes": started.processes, "train_loss": losses})


def page(bench: Bench) -> Finding:
    """Check the data and start a run on the Train tab."""
    found = bench.inside("page", str(bench.data), "tiny" if bench.quick else "default", f"{bench.left - 2:.0f}")
    text = (
        f"checked, started and finished {found['run']}: {found['epochs']} epochs on {found['device']}, "
        f"its checkpoint says device {found['checkpoint_device']}"
    )
    return Finding(text, () if found["checkpoint_device"] == bench.device else ("device",), found)


def _furthest(one: Run, other: Run) -> float:
    """Return the largest absolute difference between the weights of two runs."""
    mine, theirs = ({k: v for k, v in load_file(run.best).items() if k.startswith("members.")} for run in (one, other))
    return max(float((mine[key].double() - theirs[key].double()).abs().max()) for key in mine if mine[key].numel())


def _scored(valid: dict[str, Any]) -> str:
    low, high = valid["accuracy_ci95"]
    n, loss = valid["n_tracks"], valid["log_loss"]
    return f"{valid['accuracy']:.1%} ({low:.1%} to {high:.1%}, n = {n}), log-loss {loss:.3f}"


def _numbers(valid: dict[str, Any]) -> dict[str, Any]:
    kept: dict[str, Any] = json.loads(json.dumps(valid))
    return {name: kept[name] for name in ("n_tracks", "accuracy", "accuracy_ci95", "log_loss", "segment_accuracy")}


def _percent(value: float | None) -> str:
    return "(not known)" if value is None else f"{value:.0f} %"


ROWS = {
    "default": Row("`default` trained completely, from the command to the model card", "≤ 60 s, GPU busy ≥ 80 %", default, 45),
    "step": Row("a step of `default`", "", step, 20),
    "precision": Row("`default` in bfloat16 against float32", "", precision, 40),
    "clips": Row("features, network and vote of 30 s clips", "", clips, 25),
    "memory": Row("out of memory: the batch is cut into parts and training goes on", "finishes", memory, 30, alone=False),
    "kill": Row("SIGKILL in the middle of training, then --resume", "same weights", kill, 40, alone=False),
    "processes": Row("two processes of `accelerate launch` on one GPU", "finishes", processes, 30, alone=False),
    "page": Row("a run started on the Train tab", "finishes", page, 30, alone=False),
}
