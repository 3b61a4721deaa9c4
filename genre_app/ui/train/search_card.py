"""HTML of a search: its progress, its best trials, and how much each field matters."""

from __future__ import annotations

import re
from html import escape

from genre_app.runs.request import Request
from genre_app.runs.search.results import Results, Row
from genre_app.runs.search.search import Search, SearchFolder
from genre_app.ui import cards, permission
from genre_app.ui.train.data import shortened
from genre_app.ui.train.markup import NO_VALUE, breakable, percent, row, share_bar, table

_SHOWN = 10  # trials


def search_card(folder: SearchFolder, search: Search, results: Results, *, is_running: bool) -> str:
    """Return the state of a search: its progress, its best trials, and how much each field matters."""
    rows = results.rows
    is_done = len(rows) >= search.trials
    state = (
        "stopping" if is_running and folder.should_stop else "running" if is_running else "finished" if is_done else "stopped"
    )
    progress = "" if is_done else cards.bar(f"{len(rows)} of {search.trials} trials", len(rows), search.trials)
    failure = _failure(folder) if not rows and state == "stopped" else ""
    body = failure + _best(search, results) + _table(rows, list(search.space)) + _importance(results)
    name = f"<h3>{escape(folder.path.name)} <span class='badge {state}'>{state}</span></h3>"
    return f'<section class="card run" aria-label="Search"><p class="eyebrow">Search</p>{name}{progress}{body}</section>'


def best_request(search: Search, best: Row) -> Request:
    """Return the request that trains with the settings of a trial."""
    return search.request.model_copy(update={"settings": search.request.settings | best.settings})


def _failure(folder: SearchFolder) -> str:
    """Return the last line of the log of a search that ended before its first trial did."""
    last = folder.log_tail(1)
    return f"<p>{escape(shortened(last))}</p>" if last else ""


def _best(search: Search, results: Results) -> str:
    if results.best is None:
        return ""
    command = shortened(best_request(search, results.best).command(data=permission.shown_data()))
    # Lines break between the options; a browser would break them after a hyphen.
    options = " ".join(f"<span>{escape(option)}</span>" for option in re.split(r" (?=--)", command))
    return f'<h4>Train with the best settings</h4><p><code class="command">{options}</code></p>'


def _table(rows: tuple[Row, ...], fields: list[str]) -> str:
    if not rows:
        return ""
    words = [f"And {len(rows) - _SHOWN} more in search.csv."] if len(rows) > _SHOWN else []
    if any(trial.state == "pruned" for trial in rows):
        words.append("A pruned trial was ended early: it was worse than half of the trials before.")
    words += [cards.sentence(f"trial {trial.number} failed: {shortened(trial.message)}") for trial in rows if trial.message][:1]
    notes = f'<p class="remark">{escape(" ".join(words))}</p>' if words else ""
    heads = ["trial", "log-loss", "accuracy", *map(breakable, fields)]
    trials = table(heads, (_row(trial, fields) for trial in rows[:_SHOWN]))
    scrolled = f'<div class="scroll" role="region" aria-label="Trials" tabindex="0">{trials}</div>'
    return f"<h4>Trials, the best first</h4>{scrolled}{notes}"


def _row(trial: Row, fields: list[str]) -> str:
    log_loss = NO_VALUE if trial.log_loss is None else f"{trial.log_loss:.3f}"
    accuracy = percent(trial.accuracy) if trial.state == "done" else escape(trial.state)
    return row(str(trial.number), [log_loss, accuracy, *(escape(str(trial.settings.get(field, ""))) for field in fields)])


def _importance(results: Results) -> str:
    head = "<h4>Which settings matter</h4>"
    if not results.importance:
        return f'{head}<p class="remark">There are too few trials to say.</p>' if results.rows else ""
    shares = results.importance.items()
    rows = "".join(row(breakable(field), [share_bar(share), f"{100 * share:.0f} %"]) for field, share in shares)
    words = "Share of the differences in log-loss that each setting explains:"
    return f'{head}<p class="remark">{words}</p><table class="counts f1">{rows}</table>'
