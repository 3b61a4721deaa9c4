"""Curves of a run over its epochs, and the charts that show them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, TypeVar

import gradio as gr
import pandas as pd

from genre_app.runs.events import Event, Started, Stepped
from genre_app.ui.train.snapshot import Snapshot

MINE, THEIRS = "#6366f1", "#f59e0b"  # both are visible on a bright and on a dark page
RECORDINGS = "recordings"
"""Series of simulated recordings of the validation tracks; a longer name leaves no room in the legend for the others."""

_COLOURS = dict.fromkeys(("validation", "whole tracks", "learning rate"), MINE)
_COLOURS |= dict.fromkeys(("training", "segments"), THEIRS) | {RECORDINGS: "#10b981"}
_MAX_POINTS = 240  # of a curve; a chart is about as many pixels wide
_MIN_EPOCHS = 10  # on the time axis; with fewer, its ticks fall between epochs

_E = TypeVar("_E")

Point = tuple[float, float | None, str]
"""Epoch, value and series."""


def chart(title: str, unit: str = "", *, percent: bool = False, **options: Any) -> gr.LinePlot:
    """Return an empty chart over epochs; it is hidden until `draw` fills it."""
    return gr.LinePlot(
        x="epoch",
        y="value",
        title=title,
        x_title="epoch",
        y_title=unit or " ",
        color_title=" ",
        y_axis_format=".0%" if percent else None,
        y_lim=[0.0, 1.0] if percent else [None, None],
        show_label=False,
        visible=False,
        buttons=[],
        elem_classes="plot",
        min_width=280,
        **{"color": "series", "color_map": _COLOURS, "height": 260, **options},
    )


def curves(seen: Snapshot) -> list[pd.DataFrame]:
    """Return loss, accuracy and learning rate over epochs, each with the columns ``epoch``, ``value`` and ``series``."""
    loss: list[Point] = []
    rate: list[Point] = []
    accuracy: list[Point] = []
    for step in _thinned(_steps(seen.journal.events)):
        at = step.epoch - 1 + step.step / max(1, step.steps)
        loss.append((at, step.loss, "training"))
        rate.append((at, step.learning_rate, "learning rate"))
    for epoch in _thinned(seen.journal.epochs):
        loss.append((epoch.epoch, epoch.train_loss, "training"))
        rate.append((epoch.epoch, epoch.learning_rate, "learning rate"))
    for epoch in _thinned(seen.validated):
        at = epoch.epoch
        loss += [(at, epoch.valid_log_loss, "validation"), (at, epoch.recorded_log_loss, RECORDINGS)]
        accuracy += [(at, epoch.valid_accuracy, "whole tracks"), (at, epoch.valid_segment_accuracy, "segments")]
        accuracy.append((at, epoch.recorded_accuracy, RECORDINGS))
    recordings = [RECORDINGS] if seen.description.config.augment.recorded_share else []
    series = (["training", "validation", *recordings], ["whole tracks", "segments", *recordings], ["learning rate"])
    return _frames((loss, accuracy, rate), series)


def compared_curves(one: Snapshot, other: Snapshot) -> list[pd.DataFrame]:
    """Return validation log-loss and accuracy of whole tracks of two runs; the series are the names of the runs."""
    names = [one.run.name, other.run.name]
    epochs = [(epoch, seen.run.name) for seen in (one, other) for epoch in _thinned(seen.validated)]
    loss = [(epoch.epoch, epoch.valid_log_loss, name) for epoch, name in epochs]
    accuracy = [(epoch.epoch, epoch.valid_accuracy, name) for epoch, name in epochs]
    return _frames((loss, accuracy), (names, names))


def draw(plots: Sequence[gr.LinePlot], frames: Sequence[pd.DataFrame], **options: Any) -> dict[Any, Any]:
    """Return updates that show each frame in its chart; a chart is hidden while it has no line, which takes two points."""
    return {
        plot: gr.LinePlot(frame, visible=bool((frame.groupby("series")["value"].count() > 1).any()), **options)
        for plot, frame in zip(plots, frames, strict=True)
    }


def _frames(points: Sequence[Sequence[Point]], series: Sequence[Sequence[str]]) -> list[pd.DataFrame]:
    """Return a frame for each chart, all over the same epochs.

    Each series gets points without a value at both ends. They make the axes equally long and end at whole epochs: when limits
    of an axis change instead, gradio builds the chart anew and loses data that arrive meanwhile. They also name every series
    from the start: gradio takes the series from the first data that a chart gets, and never draws one that appears later.
    """
    last = max((epoch for of_chart in points for epoch, value, _ in of_chart if value is not None), default=0.0)
    ends = (0.0, float(max(_MIN_EPOCHS, math.ceil(last))))
    frames = []
    for of_chart, names in zip(points, series, strict=True):
        rows = {(name, epoch): value for epoch, value, name in of_chart if value is not None}
        rows |= {(name, epoch): math.nan for name in names for epoch in ends if (name, epoch) not in rows}
        ordered = [(epoch, value, name) for (name, epoch), value in sorted(rows.items())]
        frames.append(pd.DataFrame(ordered, columns=["epoch", "value", "series"]))
    return frames


def _steps(events: Sequence[Event]) -> list[Stepped]:
    """Return the reported steps, without those that a resumed run repeated."""
    kept: list[Stepped] = []
    for event in events:
        if isinstance(event, Started):
            reached = (event.epoch, event.step)
            kept = [step for step in kept if (step.epoch - 1, step.step) <= reached]
        elif isinstance(event, Stepped) and event.loss is not None and event.step < event.steps:
            kept.append(event)  # the last step of an epoch is in the event of the epoch
    return kept


def _thinned(events: Sequence[_E]) -> Sequence[_E]:
    every = -(-len(events) // _MAX_POINTS) or 1
    return events[::-1][::every][::-1]  # always with the newest one
