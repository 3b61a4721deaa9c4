"""genre-app train: train a network by a recipe."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from genre_app.cli._search import resume_search, start_search
from genre_app.cli._shared import on_signals, say, stop

if TYPE_CHECKING:
    from genre_app.runs.request import Request
    from genre_app.runs.run import Run


class Tracker(StrEnum):
    """Choices of --log; typer has no lists of literals."""

    tensorboard = "tensorboard"
    trackio = "trackio"


def _list_recipes(wanted: bool) -> None:
    if wanted:
        from genre_app.runs.recipes import describe_recipe, recipe_names

        names = recipe_names()
        for name in names:
            print(f"{name:{max(map(len, names))}}  {describe_recipe(name)}")
        raise typer.Exit


_Recipe = Annotated[str | None, typer.Argument(help="Name of a recipe (see --list), or path of a TOML file.")]
_Data = Annotated[
    str | None,
    typer.Option(
        help="Music to train on: a folder of genre folders, a zip of one, a mel cache, a CSV table of features, or "
        "hub:OWNER/NAME."
    ),
]
_Out = Annotated[Path | None, typer.Option(help="Folder of the new run; by default runs/RECIPE-NUMBER.")]
_Settings = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="FIELD=VALUE", help="Change a field of the recipe, such as epochs=20. Can be repeated."),
]
_Seed = Annotated[int | None, typer.Option(help="Seed of all random numbers; by default that of the recipe.")]
_InitFrom = Annotated[str | None, typer.Option(help="Initial weights: a name, file or hub:OWNER/NAME; by default random.")]
_Columns = Annotated[
    Literal["recipe", "data"],
    typer.Option(help="Which sample rate, hop and mel bands to use: those of the recipe, or those of a mel cache."),
]
_Resume = Annotated[Path | None, typer.Option(metavar="FOLDER", help="Resume the run or the search in this folder.")]
_Folds = Annotated[
    int, typer.Option(min=0, max=20, help="Cross-validate with this many folds over training and validation tracks.")
]
_Search = Annotated[
    int,
    typer.Option(
        min=0,
        max=10000,
        metavar="N",
        # The backslash is not shown: without it, rich takes the word in brackets for markup.
        help=r"Search the fields of the recipe's \[search] table with this many trials.",
    ),
]
_Sampler = Annotated[
    Literal["tpe", "random"], typer.Option(help="How --search draws settings: near the best ones so far, or anywhere.")
]
_Prune = Annotated[bool, typer.Option(help="Whether --search ends trials early that are worse than half of the trials before.")]
_Log = Annotated[
    list[Tracker] | None,
    typer.Option(help="Write each epoch's results to TensorBoard or trackio too. Can be repeated."),
]
_Threads = Annotated[
    int, typer.Option(min=1, max=256, help="CPU threads. The weights repeat bit by bit only with the same number.")
]
_List = Annotated[bool, typer.Option("--list", callback=_list_recipes, is_eager=True, help="List the recipes and exit.")]


def train(
    context: typer.Context,
    recipe: _Recipe = None,
    data: _Data = None,
    out: _Out = None,
    settings: _Settings = None,
    seed: _Seed = None,
    init_from: _InitFrom = None,
    columns: _Columns = "recipe",
    resume: _Resume = None,
    folds: _Folds = 0,
    search: _Search = 0,
    sampler: _Sampler = "tpe",
    prune: _Prune = True,
    log: _Log = None,
    threads: _Threads = 2,
    list_recipes: _List = False,
) -> None:
    """Train a network by a recipe.

    The folder of the run gets the best checkpoint, a report and a model card. Ctrl-C stops the run, and --resume continues it.
    For several GPUs: accelerate launch -m genre_app train RECIPE ...
    """
    if resume is None and (recipe is None or data is None):
        stop("name a recipe and --data, or a run to --resume; --list shows the recipes")
    given = {name for name in context.params if str(context.get_parameter_source(name)).endswith("COMMANDLINE")}
    if resume is not None and given - {"search"} != {"resume"}:
        stop("--resume takes all settings from the run; leave the other arguments out")
    if not search and given & {"sampler", "prune"}:
        stop("--sampler and --prune belong to a search; add --search 30")

    from genre_app.runs.failure import EXPECTED, sentence
    from genre_app.runs.request import Request
    from genre_app.runs.settings import read_settings

    try:
        if resume is not None:
            is_search = search or (resume / "search.json").is_file()
            resume_search(resume, search) if is_search else _resume(resume)
        else:
            request = Request(
                recipe=_absolute(str(recipe), ".toml"),
                data=_absolute(str(data)),
                settings=read_settings(settings or ()),
                seed=seed,
                init_from=_absolute(init_from, ".safetensors") if init_from else None,
                columns=columns,
                threads=threads,
                log=tuple(name.value for name in log or ()),
            )
            _check(request)
            if search:
                start_search(request, out, trials=search, folds=folds, sampler=sampler, prune=prune)
            elif folds:
                _cross_validate(request, out, folds)
            else:
                _work(_create(request, out))
    except EXPECTED as error:
        stop(sentence(error), exit_code=1)


def _resume(folder: Path) -> None:
    from genre_app.runs.run import Run
    from genre_app.runs.status import Status

    run = Run.open(folder)
    if run.status() is Status.finished:
        stop(f"{run.name} has finished; start a new run to train further")
    _work(run)


def _check(request: Request) -> None:
    """Check all names before the folder is made, so that the corrected command can use the same folder."""
    from genre_app.checkpoint import load_checkpoint
    from genre_app.data.sources import check_place
    from genre_app.errors import RunError
    from genre_app.runs.tracking import check_trackers

    try:
        request.model_dump_json()
    except ValueError as error:
        raise RunError("A path of the command is not UTF-8, so a run cannot store it; rename the file or folder.") from error
    request.config()
    check_trackers(request.log)
    check_place(request.data)
    if request.init_from is not None:
        load_checkpoint(request.init_from)


def _cross_validate(request: Request, out: Path | None, folds: int) -> None:
    from genre_app.runs.folds import cross_validate
    from genre_app.runs.run import free_name, runs_folder

    if folds == 1:
        stop("cross-validation needs at least 2 folds; set --folds 5, or leave it out")
    folder = out or runs_folder() / free_name(request.recipe)
    try:
        cross_validate(request, folds, folder, say=say)
    except (KeyboardInterrupt, OSError):
        if folder.is_dir():  # else nothing was trained yet
            say(f"stopped; finished folds are kept; continue with: {request.command(str(folder))} --folds {folds}")
        raise


def _create(request: Request, out: Path | None) -> Run:
    """Create the run in the first process, and open it in the others."""
    from genre_app.runs.run import Run, new_run
    from genre_app.training.processes import join

    processes, _ = join()
    if out is None:
        if not processes.alone:
            stop("several processes need the folder of the run: --out RUN_FOLDER")
        return new_run(request)
    path = out.absolute()
    if processes.rank == 0:
        Run.create(path, request)
    processes.wait()
    return Run.open(path)


def _work(run: Run) -> None:
    """Do the work of the run; Ctrl-C stops it in an orderly way."""
    from genre_app.runs.executor import work
    from genre_app.runs.host import be_nice
    from genre_app.runs.tracking import tracking
    from genre_app.runs.watched import WatchedRun
    from genre_app.training.processes import join

    if not run.status().is_active:  # else the page started it just now, and the request to stop may be new
        run.cancel_stop()
    on_signals(run.request_stop)
    be_nice()
    if not run.description().request.log or join()[0].rank > 0:
        work(run, say=say)
    else:
        with tracking(run, run.description().request.log) as write:
            work(WatchedRun(run.path, write), say=say)


def _absolute(name: str, suffix: str = "") -> str:
    """Return the absolute path if this is a file or folder with the suffix: a run may be resumed from another folder."""
    from genre_app.files import expanded

    path = expanded(name)
    return str(path.absolute()) if name.endswith(suffix) and path.exists() else name
