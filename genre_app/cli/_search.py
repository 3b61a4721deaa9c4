"""genre-app train --search: search hyperparameters, and print the results."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal

from genre_app.cli._shared import on_signals, say, stop

if TYPE_CHECKING:
    from genre_app.runs.request import Request
    from genre_app.runs.search.search import SearchFolder


def start_search(
    request: Request, out: Path | None, *, trials: int, folds: int, sampler: Literal["tpe", "random"], prune: bool
) -> None:
    """Create the folder of a search and do its trials."""
    from genre_app.runs.run import free_name, runs_folder
    from genre_app.runs.search.search import Search, SearchFolder
    from genre_app.training.processes import join

    if not join()[0].alone:
        stop("a search runs in one process; start it without accelerate launch")
    search = Search.of(request, trials, folds, sampler, prune=prune)
    name = free_name(request.recipe, "-search")
    _do(SearchFolder.create(out.absolute() if out else runs_folder() / name, search))


def resume_search(path: Path, trials: int) -> None:
    """Continue a search; ``trials`` above 0 changes the number of its trials."""
    from genre_app.runs.search.search import SearchFolder

    folder = SearchFolder(path.absolute())
    if trials:
        folder.extend(trials)
    _do(folder)


def _do(folder: SearchFolder) -> None:
    """Do the rest of a search; Ctrl-C stops it in an orderly way."""
    from genre_app.runs.host import be_nice
    from genre_app.runs.search.loop import run_search

    search = folder.search()
    on_signals(folder.request_stop)
    be_nice()
    say(f"search in {folder.path}: {search.trials} trials over {', '.join(search.space)}")
    is_done = run_search(folder, say=say)
    _report(folder)
    if not is_done:
        say(f"stopped; resume with: genre-app train --resume {folder.path}")


def _report(folder: SearchFolder) -> None:
    from genre_app.runs.search.results import read

    results = read(folder.path)
    if results is None:
        return
    say("\n" + results.to_table())
    bars = results.importance_bars()
    if bars:
        say(f"\nImportance: share of the variance of the log-loss\n{bars}")
    if results.best is not None:
        request = folder.search().request
        best = request.model_copy(update={"settings": request.settings | results.best.settings})
        say(f"\nTrial {results.best.number} is the best. Train with its settings:\n{best.command()}")
    say(f"wrote {folder.path / 'search.csv'}")
