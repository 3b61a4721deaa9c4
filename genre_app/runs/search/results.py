"""Results of a search: its trials, the best first, and how much each field matters. Reads and writes them without Optuna."""

from __future__ import annotations

import csv
import io
from collections.abc import Collection
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from genre_app.errors import RunError
from genre_app.files import write_whole
from genre_app.runs.settings import Value, write_setting

_JSON, _CSV = "results.json", "search.csv"
_STATES = ("done", "pruned", "failed")
_BAR = 30  # letters of a bar of importance 1


class Row(BaseModel):
    """A trial that has ended.

    Attributes
    ----------
    number : int
        From 1, in the order of drawing.
    state : {"done", "pruned", "failed"}
    log_loss : float or None
        Validation log-loss, nats; of a pruned trial the last one, None if there was none.
    accuracy, seconds : float or None
        None if the trial is not done.
    settings : dict
        Values of the searched fields.
    message : str or None
        Why the trial failed.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    number: int
    state: str
    log_loss: float | None
    accuracy: float | None
    seconds: float | None
    settings: dict[str, Value]
    message: str | None = None

    def order(self) -> tuple[int, float, int]:
        """Return a key that sorts the best trial first."""
        return _STATES.index(self.state), self.log_loss if self.log_loss is not None else float("inf"), self.number


class Results(BaseModel):
    """Content of ``results.json``.

    Attributes
    ----------
    trials, folds : int
        As in `genre_app.runs.search.search.Search`.
    rows : tuple of Row
        The trials that have ended, the best first.
    importance : dict
        Share of the variance of the log-loss that each field explains (fANOVA), the largest first; empty with too few trials.

    References
    ----------
    Hutter et al. 2014, An efficient approach for assessing hyperparameter importance.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    trials: int
    folds: int
    rows: tuple[Row, ...]
    importance: dict[str, float]

    @property
    def best(self) -> Row | None:
        """The trial with the lowest log-loss, None if none is done."""
        return self.rows[0] if self.rows and self.rows[0].state == _STATES[0] else None

    def to_table(self) -> str:
        """Return the trials as lines of text."""
        fields = list(self.rows[0].settings) if self.rows else []
        head = ["trial", "log-loss", "accuracy", *fields]
        lines = [head]
        for row in self.rows:
            values = [_text(row.settings.get(field)) for field in fields]
            log_loss = row.state if row.state != _STATES[0] or row.log_loss is None else f"{row.log_loss:.4f}"
            lines.append([str(row.number), log_loss, "" if row.accuracy is None else f"{row.accuracy:.1%}", *values])
        widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
        return "\n".join("  ".join(map(str.rjust, line, widths)) for line in lines)

    def importance_bars(self) -> str:
        """Return the importance of each field as bars of text; empty with too few trials."""
        width = max(map(len, self.importance), default=0)
        bars = (f"{field:{width}}  {'█' * round(_BAR * share):{_BAR}}  {share:.0%}" for field, share in self.importance.items())
        return "\n".join(bars)


def write(results: Results, folder: Path, fields: Collection[str]) -> None:
    """Write ``results.json`` and ``search.csv`` into the folder of a search; the table has a column for each field."""
    write_whole(folder / _JSON, results.model_dump_json(indent=1).encode())
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(["trial", "state", "log_loss", "accuracy", "seconds", *fields])
    for row in results.rows:
        values = [_text(row.settings.get(field)) for field in fields]
        writer.writerow([row.number, row.state, row.log_loss, row.accuracy, row.seconds, *values])
    write_whole(folder / _CSV, text.getvalue().encode())


def read(folder: Path) -> Results | None:
    """Read ``results.json``; None before the first trial has ended.

    Raises
    ------
    RunError
        If the file is damaged.
    """
    try:
        return Results.model_validate_json((folder / _JSON).read_bytes())
    except FileNotFoundError:
        return None
    except (OSError, ValidationError) as error:
        raise RunError(f"{folder / _JSON} cannot be read; resume the search to write it again.") from error


def _text(value: Value | None) -> str:
    """Return a value as in TOML, without the quotes of a text."""
    return "" if value is None else value if isinstance(value, str) else write_setting("", value)[1:]
