"""What has changed in the panel of runs since the browser's last look.

Everything comes from the folders of the runs each time, so that a reloaded page, a restarted server and a second browser show
the same. The browser remembers only which run it shows.
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import gradio as gr

from genre_app.errors import RunError
from genre_app.runs.search.search import list_searches
from genre_app.runs.status import Status
from genre_app.runs.zerogpu import is_going, is_zero
from genre_app.ui import cards
from genre_app.ui.downloads import download_file
from genre_app.ui.figures import View
from genre_app.ui.permission import refusal, shown_data
from genre_app.ui.train import run_card
from genre_app.ui.train.charts import MINE, THEIRS, compared_curves, curves, draw
from genre_app.ui.train.confusion import confusion_card
from genre_app.ui.train.data import shortened
from genre_app.ui.train.panel import ACTIVE_SECONDS, IDLE_SECONDS, NO_OTHER, Panel
from genre_app.ui.train.snapshot import Snapshot, snapshots

# CSS pixels: the widest matrix, the panel that has room for two columns (.evidence in page.css), and the frame of a card.
_FIGURE_WIDTH, _TWO_COLUMNS_WIDTH, _FRAME_WIDTH = 460, 630, 44
_COPY_SECONDS = 1800.0  # a download's copy is renewed after this time, before gradio deletes it
_REDRAWN_SHARE = 1 / 30  # of the time since training began, after which its charts are drawn again
_MIN_REDRAWN_SECONDS, _MAX_REDRAWN_SECONDS = 1.0, 8.0


def refresh(
    panel: Panel, values: Mapping[Any, Any], profile: gr.OAuthProfile | None, *, name: str | None = None
) -> dict[Any, Any]:
    """Return updates for the parts of the panel that have changed.

    Parameters
    ----------
    panel : Panel
    values : mapping
        Values of the panel's inputs.
    profile : gr.OAuthProfile or None
        Of the visitor: says whether they may stop, resume, rename and delete.
    name : str, optional
        The run to show, ``panel.chosen`` by default. If there is no such run, an active one is shown, or else the newest.
    """
    damaged: list[RunError] = []
    runs = {seen.run.name: seen for seen in snapshots(damaged.append)}
    list_searches(damaged.append)
    names = list(runs)
    active = [seen.run.name for seen in runs.values() if seen.status.is_active]
    name = values[panel.chosen] if name is None else name
    if name not in names:
        name = next(iter(active or names), None)
    before = values[panel.shown] or {}
    now: dict[str, str] = {}
    updates: dict[Any, Any] = {panel.chosen: name, panel.shown: now}

    def put(part: str, key: Any, update: Any) -> None:
        """Add the updates that ``update()`` returns, unless the browser has this part with this key."""
        now[part] = f"{hash((name, part, key)):x}"  # as text, because a browser rounds a number of 64 bits
        if now[part] != before.get(part):
            updates.update(update())

    seconds = ACTIVE_SECONDS if active else IDLE_SECONDS
    put("pace", seconds, lambda: {panel.timer: gr.Timer(seconds)})
    rows = [run_card.list_row(seen) for seen in runs.values()]
    put("table", str(rows), lambda: _table(panel, rows))
    put("damaged", said := run_card.not_shown(damaged), lambda: {panel.damaged: said})
    mark = cards.row_mark("runs", names.index(name)) if name is not None else ""
    put("mark", mark, lambda: {panel.mark: mark})
    if name is None:
        put("run", None, lambda: _no_run(panel))
        return updates
    seen = runs[name]
    view = _figure_view(View.from_page(values[panel.view]))
    drawn, other, allowed = _drawn_at(seen), values[panel.other], refusal(profile) is None
    put("run", name, lambda: _new_run(panel, name))
    put("others", tuple(names), lambda: {panel.other: _other_runs(names, name, other)})
    put("state", state := run_card.state_card(seen), lambda: {panel.state: state})
    usable = (seen.status.value, seen.run.best.is_file(), _is_resumable(seen), allowed)
    put("buttons", usable, lambda: _buttons(panel, seen, allowed))
    put("curves", drawn, lambda: draw((panel.loss, panel.accuracy, panel.rate), curves(seen)))
    put("report", seen.status.value, lambda: {panel.report: run_card.report_card(seen)})
    put("confusion", (drawn if seen.journal.epochs else None, view), lambda: {panel.confusion: _confusion(seen, view)})
    log = shortened(seen.run.log_tail()) or "The log is in the terminal that started this run."
    put("log", log, lambda: {panel.log: log})
    put("downloads", _download_stamp(seen), lambda: _downloads(panel, seen))
    put("command", name, lambda: {panel.command: shortened(seen.description.request.command(data=shown_data()))})
    second = runs.get(other)
    put("compared", (other, drawn, second and _drawn_at(second)), lambda: compare(panel, seen, second))
    return updates


def compare(panel: Panel, one: Snapshot | None, two: Snapshot | None) -> dict[Any, Any]:
    """Return updates that show another run beside the chosen one."""
    plots = (panel.compared_loss, panel.compared_accuracy)
    if one is None or two is None or one.run == two.run:
        return {panel.compared: "", **{plot: gr.LinePlot(visible=False) for plot in plots}}
    charts = draw(plots, compared_curves(one, two), color_map={one.run.name: MINE, two.run.name: THEIRS})
    return {panel.compared: run_card.comparison(one, two), **charts}


def _drawn_at(seen: Snapshot) -> tuple[Any, ...]:
    """Return a key that changes when the charts are to be drawn again: the longer training lasts, the more rarely."""
    events = seen.journal.events
    if not seen.status.is_active or not events:
        return seen.status.value, len(events)
    # Waiting and decoding do not count: after them, the first charts would stand still for many seconds.
    first, last = (seen.started or events[0]).time, events[-1].time
    seconds = min(max((last - first) * _REDRAWN_SHARE, _MIN_REDRAWN_SECONDS), _MAX_REDRAWN_SECONDS)
    seconds = 2.0 ** int(math.log2(seconds))  # a power of two, so that the key does not change with each new length
    return seen.status.value, seconds, int(last // seconds)


def _figure_view(page: View) -> View:
    """Return the view of the confusion matrix, which stands beside a chart where there is room for two columns."""
    width = page.width // 2 if page.width > _TWO_COLUMNS_WIDTH else page.width
    return View(min(width - _FRAME_WIDTH, _FIGURE_WIDTH), page.pixel_ratio, page.dark)


def _table(panel: Panel, rows: list[list[str]]) -> dict[Any, Any]:
    return {
        panel.table: gr.Dataframe(rows, visible=bool(rows)),
        panel.empty: gr.HTML(visible=not rows),
        panel.more: gr.Column(visible=bool(rows)),
    }


def _no_run(panel: Panel) -> dict[Any, Any]:
    gone = (panel.stop, panel.resume, panel.use, panel.checkpoint, panel.card, panel.sure)
    plots = (panel.loss, panel.accuracy, panel.rate, panel.compared_loss, panel.compared_accuracy)
    texts = (panel.state, panel.error, panel.manage_error, panel.report, panel.confusion, panel.compared)
    return {**{part: gr.update(visible=False) for part in (*gone, *plots)}, **dict.fromkeys(texts, "")}


def _new_run(panel: Panel, name: str) -> dict[Any, Any]:
    """Return updates that clear what belongs to the run that was shown before."""
    cleared = dict.fromkeys((panel.error, panel.manage_error, panel.doomed), "")
    return {**cleared, panel.new_name: name, panel.sure: gr.Column(visible=False)}


def _other_runs(names: list[str], name: str, other: str | None) -> gr.Dropdown:
    others = [one for one in names if one != name]
    return gr.Dropdown([(NO_OTHER, ""), *((one, one) for one in others)], value=other if other in others else "")


def _is_resumable(seen: Snapshot) -> bool:
    if seen.status is Status.paused:
        return not (is_zero() and is_going(seen.run))
    return seen.status in (Status.stopped, Status.failed, Status.died)


def _buttons(panel: Panel, seen: Snapshot, allowed: bool) -> dict[Any, Any]:
    active = seen.status.is_active
    return {
        panel.stop: gr.Button(visible=active and allowed),
        panel.resume: gr.Button(visible=_is_resumable(seen) and allowed),
        panel.use: gr.Button(visible=seen.run.best.is_file() and not active),
        panel.manage: gr.Accordion(visible=not active),
        panel.changing: gr.Column(visible=allowed),
    }


def _download_stamp(seen: Snapshot) -> tuple[Any, ...]:
    """Return a key that changes when a download does, or when its copy has to be renewed."""
    stamps = [path.stat().st_mtime_ns for path in (seen.run.best, seen.run.path / "card.md") if path.is_file()]
    return seen.status.is_active, *stamps, int(time.time() // _COPY_SECONDS)


def _downloads(panel: Panel, seen: Snapshot) -> dict[Any, Any]:
    updates = {}
    for button, path in ((panel.checkpoint, seen.run.best), (panel.card, seen.run.path / "card.md")):
        file = None
        with suppress(OSError):  # it is missing, or the disk is full
            file = None if seen.status.is_active else download_file(path, seen.run.name + path.suffix)
        updates[button] = gr.DownloadButton(value=file, visible=file is not None)
    return updates


def _confusion(seen: Snapshot, view: View) -> str:
    found = run_card.confusion_of(seen)
    return confusion_card(*found, view) if found is not None else ""
