"""HTML of a search: its progress, its best trials, and how much each field matters."""

from __future__ import annotations

from html import escape

from genre_app.runs.request import Request
from genre_app.runs.run import Run
from genre_app.runs.search.results import Results, Row
from genre_app.runs.search.search import Search, SearchFolder
from genre_app.ui import permission
from genre_app.ui.train.data import shortened
from genre_app.ui.train.markup import NO_VALUE, bar, breakable, head_row, percent

_SHOWN = 10  # trials


def search_card(folder: SearchFolder, search: Search, results: Results | None, *, is_running: bool) -> str:
    """Return the state of a search: its progress, its best trials, and how much each field matters."""
    rows = results.rows if results else ()
    is_done = len(rows) >= search.trials
    state = (
        "stopping" if is_running and folder.should_stop else "running" if is_running else "finished" if is_done else "stopped"
    )
    progress = "" if is_done else bar(f"{len(rows)} of {search.trials} trials", len(rows), search.trials)
    body = _failure(folder) if not rows and state == "stopped" else ""
    if results is not None:
        body += _best(search, results) + _table(rows, list(search.space)) + _importance(results)
    name = f"<h3>{escape(folder.path.name)} <span class='badge {state}'>{state}</span></h3>"
    return f'<section class="card run" aria-label="Search"><p class="eyebrow">Search</p>{name}{progress}{body}</section>'


def best_request(search: Search, best: Row) -> Request:
    """Return the request that trains with the settings of a trial."""
    return search.request.model_copy(update={"settings": search.request.settings | best.settings})


def _failure(folder: SearchFolder) -> str:
    """Return the last line of the log of a search that ended before its first trial did."""
    last = Run(folder.path).log_tail(1)
    return f"<p>{escape(shortened(last))}</p>" if last else ""


def _best(search: Search, results: Results) -> str:
    if results.best is None:
        return ""
    command = shortened(best_request(search, results.best).command(data=permission.shown_data()))
    return f'<p>Train with the best settings:</p><p><code class="wide">{escape(command)}</code></p>'


def _table(rows: tuple[Row, ...], fields: list[str]) -> str:
    body = "".join(_row(row, fields) for row in rows[:_SHOWN])
    head = head_row(["trial", "log-loss", "accuracy", *map(breakable, fields)])
    more = f"<p>And {len(rows) - _SHOWN} more in search.csv.</p>" if len(rows) > _SHOWN else ""
    return f'<div class="scroll" tabindex="0"><table class="counts">{head}<tbody>{body}</tbody></table></div>{more}'


def _row(row: Row, fields: list[str]) -> str:
    log_loss = NO_VALUE if row.log_loss is None else f"{row.log_loss:.3f}"
    cells = [log_loss + ("" if row.state == "done" else f" ({row.state})"), percent(row.accuracy)]
    cells += [escape(str(row.settings.get(field, ""))) for field in fields]
    return f'<tr><th scope="row">{row.number}</th>{"".join(f"<td>{cell}</td>" for cell in cells)}</tr>'


def _importance(results: Results) -> str:
    if not results.importance:
        return ""
    rows = ""
    for field, share in results.importance.items():
        drawn = f'<span class="track"><span class="bar" style="width:{100 * share:.1f}%"></span></span>'
        rows += f'<tr><th scope="row">{breakable(field)}</th><td>{drawn}</td><td>{100 * share:.0f} %</td></tr>'
    head = head_row(["", "", "importance"])
    return f'<table class="counts f1">{head}<tbody>{rows}</tbody></table>'
