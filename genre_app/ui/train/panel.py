"""The right half of the Train tab: the list of runs, and the one that is watched.

Everything comes from the runs' folders anew each time, so that a page that was reloaded, a server that was started again and a
second browser show the same. What the page remembers is only which run it shows, in the browser.
"""

from __future__ import annotations

import base64
import math
import time
from collections.abc import Mapping, Sequence
from typing import Any

import gradio as gr
import pandas as pd

from genre_app.errors import RunError
from genre_app.runs.run import Status
from genre_app.runs.zerogpu import is_going, is_zero
from genre_app.ui.cards import row_mark
from genre_app.ui.downloads import download_file
from genre_app.ui.figures import DPI, View, to_webp
from genre_app.ui.permission import shown_data
from genre_app.ui.train import view as train_view
from genre_app.ui.train.confusion import draw_confusion
from genre_app.ui.train.snapshot import RECORDINGS, Snapshot, briefs, curves, find, overlaid, snapshot

TICK_SECONDS = 1.0
_HEADERS = ["Run", "Status", "Accuracy", "Epochs"]
_MINE, _THEIRS = "#6366f1", "#f59e0b"  # seen on bright and on dark
_RECORDED = "#10b981"
_COLOURS = {
    "training": _THEIRS,
    "validation": _MINE,
    "whole tracks": _MINE,
    "segments": _THEIRS,
    "learning rate": _MINE,
    RECORDINGS: _RECORDED,
}
_FIGURE_WIDTH, _BESIDE_WIDTH, _FRAME_WIDTH = 460, 630, 44  # CSS pixels
_NOTHING = "none"
_COPY_SECONDS = 1800.0
_LEAST_EPOCHS = 10  # on the axis of a chart: with fewer, its ticks would fall between epochs
_REDRAWN_SHARE, _REDRAWN_SECONDS = 30.0, 8.0  # the figures: after a thirtieth of the run, or so many seconds at most


class Panel:
    """The components of the panel, laid out when it is made, within a `gradio.Column`.

    ``chosen`` holds the name of the run that is shown, ``shown`` what the browser has of it, so that only what has changed is
    sent again; ``doomed`` holds the name of the run whose deletion is asked about. What could not be done is told under the
    button that was pressed: in ``said``, or in ``unmanaged`` if it is one of those further down.
    """

    def __init__(self) -> None:
        hidden: dict[str, Any] = {"visible": False}
        self.timer = gr.Timer(TICK_SECONDS, active=False)
        self.view = gr.JSON(**hidden)  # filled by the page's script
        self.chosen, self.doomed = gr.Textbox(elem_id="run-chosen", **hidden), gr.Textbox(elem_id="run-doomed", **hidden)
        self.shown = gr.State(None)
        self.empty = gr.HTML(train_view.NO_RUNS)
        self.table = gr.Dataframe(
            headers=_HEADERS,
            datatype=["str", "str", "str", "str"],
            column_widths=["35%", "23%", "22%", "20%"],
            label="Runs: choose one to watch it",
            interactive=False,
            max_height=210,
            elem_id="runs",
            buttons=[],
            **hidden,
        )
        self.mark = gr.HTML(elem_id="run-mark")
        self.head = gr.HTML(elem_id="run-head")
        with gr.Row(elem_classes="actions"):
            self.stop = gr.Button("Stop", variant="stop", elem_id="run-stop", **hidden)
            self.resume = gr.Button("Resume", variant="primary", elem_id="run-resume", **hidden)
            self.use = gr.Button("Use in Classify", variant="primary", elem_id="run-use", **hidden)
        self.said = gr.HTML(elem_id="run-said")
        with gr.Row(elem_classes="evidence"):
            self.loss = _plot("Loss", "nats", elem_id="plot-loss")
            self.accuracy = _plot("Validation accuracy", "", percent=True, elem_id="plot-accuracy")
        with gr.Row(elem_classes="evidence"):
            self.report = gr.HTML(elem_id="run-report")
            self.confusion = gr.HTML(elem_id="confusion")
            self.rate = _plot("Learning rate", "", single=True, elem_id="plot-rate")
        with gr.Column(elem_id="run-more", **hidden) as self.more:
            with gr.Accordion("Compare with another run", open=False):
                self._lay_out_comparison()
            with gr.Accordion("Log and command", open=False):
                self.command = gr.Textbox(
                    label="Command", lines=1, max_lines=6, interactive=False, buttons=["copy"], elem_classes="code"
                )
                self.log = gr.Textbox(
                    label="Last lines of the log",
                    lines=8,
                    max_lines=16,
                    interactive=False,
                    elem_id="run-log",
                    elem_classes="code",
                )
            with gr.Accordion("Download, rename, delete", open=False, elem_id="run-manage") as self.manage:
                self._lay_out_management()

    def _lay_out_comparison(self) -> None:
        self.other = gr.Dropdown([(_NOTHING, "")], value="", label="The other run", interactive=True, elem_id="run-other")
        self.compared = gr.HTML(elem_id="run-compared")
        with gr.Row():
            self.compared_loss = _plot("Validation log-loss", "nats", runs=True, elem_id="compared-loss")
            self.compared_accuracy = _plot("Accuracy of whole tracks", "", percent=True, runs=True, elem_id="compared-accuracy")

    def _lay_out_management(self) -> None:
        with gr.Row(elem_classes="actions"):
            self.checkpoint = gr.DownloadButton("Download checkpoint", size="md", visible=False)
            self.card = gr.DownloadButton("Download model card", size="md", visible=False)
        with gr.Column(elem_id="run-changing") as self.changing, gr.Row(elem_classes="actions"):
            self.new_name = gr.Textbox(label="New name", max_length=64, container=False, min_width=140)
            self.rename = gr.Button("Rename", elem_id="run-rename", size="md", min_width=90)
            self.delete = gr.Button("Delete …", elem_id="run-delete", size="md", min_width=90)
        with gr.Column(visible=False, elem_classes="card problem", elem_id="run-sure") as self.sure:
            self.question = gr.HTML(elem_id="run-question")
            with gr.Row(elem_classes="actions"):
                self.really = gr.Button("Delete for good", elem_id="run-really", variant="stop", size="md")
                self.keep = gr.Button("Keep it", size="md")
        self.unmanaged = gr.HTML(elem_id="run-unmanaged")

    @property
    def inputs(self) -> list[Any]:
        """What `refresh` looks at."""
        return [self.chosen, self.other, self.view, self.shown]

    @property
    def outputs(self) -> list[Any]:
        """What it fills."""
        return [part for part in vars(self).values() if part is not self.view]


def refresh(
    panel: Panel,
    name: str | None,
    other: str | None,
    view: Any,
    shown: Mapping[str, int] | None,
    *,
    allowed: bool = True,
) -> dict[Any, Any]:
    """Return what has changed on the page since ``shown``.

    Parameters
    ----------
    panel : Panel
    name : str or None
        The run to show; by default one that is at work, or else the newest.
    other : str or None
        The run beside which it is put.
    view : Any
        What the page's script says of the page.
    shown : mapping or None
        What the browser has already.
    allowed : bool
        Whether the visitor may stop, resume, rename and delete.
    """
    runs = briefs()
    names = [brief.name for brief in runs]
    if name not in names:
        active = [brief.name for brief in runs if brief.status.is_active]
        name = next(iter(active or names), None)
    before = dict(shown or {})
    now: dict[str, int] = {}
    updates: dict[Any, Any] = {panel.timer: gr.Timer(active=any(brief.status.is_active for brief in runs)), panel.chosen: name}

    def put(part: str, key: Any, fill: Any) -> None:
        now[part] = hash((name, part, key))
        if now[part] != before.get(part):
            updates.update(fill())

    rows = [train_view.list_row(brief) for brief in runs]
    put("table", str(rows), lambda: _table(panel, rows))
    mark = row_mark("runs", names.index(name)) if name is not None else ""
    put("mark", mark, lambda: {panel.mark: mark})
    run = find(name)
    if run is None:
        put("run", None, lambda: _no_run(panel))
        return updates | {panel.shown: now}
    try:
        seen = snapshot(run)
    except RunError as error:
        return updates | {panel.said: train_view.problem(str(error), "This run cannot be read"), panel.shown: now}
    page = _half(View.from_page(view))
    moment = _moment(seen)
    put("run", name, lambda: _other_run(panel, name))
    put("others", tuple(names), lambda: {panel.other: _others(names, name, other)})
    put("head", head := train_view.head(seen), lambda: {panel.head: head})
    put("buttons", (*_usable(seen), allowed), lambda: _buttons(panel, seen, allowed))
    put("curves", moment, lambda: _curves(panel, seen))
    put("report", seen.status.value, lambda: {panel.report: train_view.report_card(seen)})
    put("confusion", (moment if seen.epochs else None, page), lambda: {panel.confusion: _confusion(seen, page)})
    put("log", log := run.log_tail(), lambda: {panel.log: log or "This run was started in a terminal, which has its log."})
    put("downloads", _files(seen, may_be_old=True), lambda: _downloads(panel, seen))
    put("command", name, lambda: {panel.command: seen.description.request.command(data=shown_data())})
    put("compared", (other, moment), lambda: _comparison(panel, seen, other))
    return updates | {panel.shown: now}


def _moment(seen: Snapshot) -> tuple[Any, ...]:
    """Return what changes when the figures are to be drawn anew: the longer a run has lasted, the less a second adds."""
    if not seen.status.is_active or not seen.events:
        return seen.status.value, len(seen.events)
    began, last = seen.events[0]["time"], seen.events[-1]["time"]
    seconds = 2.0 ** int(math.log2(min(max((last - began) / _REDRAWN_SHARE, 1.0), _REDRAWN_SECONDS)))
    return seen.status.value, seconds, int(last // seconds)


def compare_with(panel: Panel, name: str | None, other: str | None) -> dict[Any, Any]:
    """Return what puts another run beside the one that is shown."""
    run = find(name)
    return _comparison(panel, snapshot(run), other) if run is not None else {}


def _comparison(panel: Panel, seen: Snapshot, other: str | None) -> dict[Any, Any]:
    run = find(other)
    hidden = gr.LinePlot(visible=False)
    if run is None or run == seen.run:
        return {panel.compared: "", panel.compared_loss: hidden, panel.compared_accuracy: hidden}
    theirs = snapshot(run)
    loss, accuracy = overlaid(seen, theirs)
    colours, plots = {seen.run.name: _MINE, run.name: _THEIRS}, (panel.compared_loss, panel.compared_accuracy)
    return {panel.compared: train_view.comparison(seen, theirs), **_drawn(plots, (loss, accuracy), color_map=colours)}


def _half(page: View) -> View:
    """Return the view of the figure, which is beside another one where there is room; the page tells how wide both may be."""
    width = page.width // 2 if page.width > _BESIDE_WIDTH else page.width
    return View(min(width - _FRAME_WIDTH, _FIGURE_WIDTH), page.pixel_ratio, page.dark)


def _plot(
    label: str, unit: str, *, percent: bool = False, runs: bool = False, single: bool = False, elem_id: str | None = None
) -> gr.LinePlot:
    return gr.LinePlot(
        x="epoch",
        y="value",
        color=None if single else "series",
        title=label,
        x_title="epoch",
        y_title=unit or " ",
        color_title=" ",
        color_map=None if runs else _COLOURS,
        y_axis_format=".0%" if percent else None,
        y_lim=[0.0, 1.0] if percent else [None, None],
        show_label=False,
        height=200 if single else 260,
        visible=False,
        buttons=[],
        elem_id=elem_id,
        elem_classes="plot",
        min_width=280,
    )


def _table(panel: Panel, rows: list[list[str]]) -> dict[Any, Any]:
    return {
        panel.table: gr.Dataframe(rows, visible=bool(rows)),
        panel.empty: gr.HTML(visible=not rows),
        panel.more: gr.Column(visible=bool(rows)),
    }


def _no_run(panel: Panel) -> dict[Any, Any]:
    gone = (panel.stop, panel.resume, panel.use, panel.checkpoint, panel.card)
    plots = (panel.loss, panel.accuracy, panel.rate, panel.compared_loss, panel.compared_accuracy)
    return {
        **{button: type(button)(visible=False) for button in gone},
        **{plot: gr.LinePlot(visible=False) for plot in plots},
        **dict.fromkeys((panel.head, panel.said, panel.unmanaged, panel.report, panel.confusion, panel.compared), ""),
        panel.sure: gr.Column(visible=False),
    }


def _other_run(panel: Panel, name: str | None) -> dict[Any, Any]:
    """Clear what was said of the run that was shown before."""
    cleared = dict.fromkeys((panel.said, panel.unmanaged, panel.doomed), "")
    return {**cleared, panel.new_name: name, panel.sure: gr.Column(visible=False)}


def _others(names: list[str], name: str | None, other: str | None) -> gr.Dropdown:
    kept = [one for one in names if one != name]
    return gr.Dropdown([(_NOTHING, ""), *((one, one) for one in kept)], value=other if other in kept else "")


def _usable(seen: Snapshot) -> tuple[Any, ...]:
    return seen.status.value, seen.run.best.is_file(), (seen.run.path / "card.md").is_file(), _resumable(seen)


def _resumable(seen: Snapshot) -> bool:
    if seen.status is Status.paused:
        return not (is_zero() and is_going(seen.run))
    return seen.status in (Status.stopped, Status.failed, Status.died)


def _buttons(panel: Panel, seen: Snapshot, allowed: bool) -> dict[Any, Any]:
    active, has_best = seen.status.is_active, seen.run.best.is_file()
    return {
        panel.stop: gr.Button(visible=active and allowed),
        panel.resume: gr.Button(visible=_resumable(seen) and allowed),
        panel.use: gr.Button(visible=has_best and not active),
        panel.manage: gr.Accordion(visible=not active),
        panel.changing: gr.Column(visible=allowed),
    }


def _files(seen: Snapshot, *, may_be_old: bool = False) -> tuple[Any, ...]:
    """Return what can be downloaded, and what changes when it does; the page's copies are deleted after a while."""
    files = () if seen.status.is_active else (seen.run.best, seen.run.path / "card.md")
    stamps = tuple((path, path.stat().st_mtime_ns) for path in files if path.is_file())
    return (*stamps, int(time.time() // _COPY_SECONDS)) if may_be_old else stamps


def _downloads(panel: Panel, seen: Snapshot) -> dict[Any, Any]:
    found = {path.suffix: download_file(path, seen.run.name + path.suffix) for path, _ in _files(seen)}
    return {
        button: gr.DownloadButton(value=found.get(suffix), visible=suffix in found)
        for button, suffix in ((panel.checkpoint, ".safetensors"), (panel.card, ".md"))
    }


def _curves(panel: Panel, seen: Snapshot) -> dict[Any, Any]:
    return _drawn((panel.loss, panel.accuracy, panel.rate), curves(seen))


def _drawn(plots: Sequence[gr.LinePlot], frames: Sequence[pd.DataFrame], **options: Any) -> dict[Any, Any]:
    """Return charts that stand beneath each other, so that an epoch is at the same place in each."""
    last = max((frame.epoch.max() for frame in frames if not frame.empty), default=0.0)
    epochs = (0.0, float(max(_LEAST_EPOCHS, math.ceil(last))))
    return {
        plot: gr.LinePlot(_reaching(frame, epochs), visible=not frame.empty, **options)
        for plot, frame in zip(plots, frames, strict=True)
    }


def _reaching(frame: pd.DataFrame, epochs: tuple[float, float]) -> pd.DataFrame:
    """Add points without a value, so that the axis goes from epoch to epoch.

    Limits of the axis will not do: when they change, gradio makes the chart anew, and data that arrive meanwhile are lost.
    """
    if frame.empty:
        return frame
    missing = [epoch for epoch in epochs if not frame.epoch.min() <= epoch <= frame.epoch.max()]
    ends = pd.DataFrame({"epoch": missing, "value": [math.nan] * len(missing), "series": frame.series.iloc[0]})
    return pd.concat([frame, ends], ignore_index=True) if missing else frame


def _confusion(seen: Snapshot, view: View) -> str:
    found = train_view.confusion_of(seen)
    if found is None:
        return ""
    matrix, genres, title = found
    figure = draw_confusion(matrix, genres, view)
    image = base64.b64encode(to_webp(figure)).decode("ascii")
    return train_view.confusion_figure(image, title, matrix, round(figure.get_size_inches()[0] * DPI))
