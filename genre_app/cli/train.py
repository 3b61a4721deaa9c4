"""genre-app train: train a network by a recipe."""

from __future__ import annotations

import os
import signal
import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from genre_app.cli._shared import printable, stop


class Columns(StrEnum):
    """Values of --columns."""

    recipe = "recipe"
    data = "data"


def _list_recipes(wanted: bool) -> None:
    if wanted:
        from genre_app.runs.recipes import describe_recipe, recipe_names

        names = recipe_names()
        for name in names:
            print(f"{name:{max(map(len, names))}}  {describe_recipe(name)}")
        raise typer.Exit


def train(
    context: typer.Context,
    recipe: Annotated[str | None, typer.Argument(help="Name of a recipe (see --list) or path of a TOML file.")] = None,
    data: Annotated[
        str | None,
        typer.Option(
            help="A folder of genre folders, a zip of one, a mel cache, a table of features (CSV), or hub:OWNER/NAME."
        ),
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Folder of the run; by default runs/RECIPE-NUMBER.")] = None,
    settings: Annotated[
        list[str] | None, typer.Option("--set", metavar="FIELD=VALUE", help="Replace a field of the recipe.")
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Seed of everything random.")] = None,
    init_from: Annotated[str | None, typer.Option(help="Checkpoint whose weights to begin with.")] = None,
    columns: Annotated[
        Columns, typer.Option(help="Whose sample rate, hop and mel bands to use: the recipe's, or those of a mel cache.")
    ] = Columns.recipe,
    resume: Annotated[Path | None, typer.Option(metavar="RUN_FOLDER", help="Go on with a run that was stopped.")] = None,
    folds: Annotated[int, typer.Option(min=0, max=20, help="Cross-validate over training and validation tracks instead.")] = 0,
    threads: Annotated[int, typer.Option(min=1, max=256, help="CPU threads; part of what makes weights repeat.")] = 2,
    list_recipes: Annotated[
        bool, typer.Option("--list", callback=_list_recipes, is_eager=True, help="List the recipes and stop.")
    ] = False,
) -> None:
    """Train a network by a recipe; the run's folder gets its journal, its best checkpoint, its report and its model card.

    Ctrl-C stops a run; --resume continues it. Several GPUs or machines: accelerate launch -m genre_app train RECIPE ...
    """
    if resume is None and (recipe is None or data is None):
        stop("name a recipe and --data, or a run to --resume; --list shows the recipes")
    given = {name for name in context.params if str(context.get_parameter_source(name)).endswith("COMMANDLINE")}
    if resume is not None and given != {"resume"}:
        stop("--resume takes the recipe, the data and the folder from the run, and all settings; leave the others out")

    from genre_app.checkpoint import load_checkpoint
    from genre_app.data.sources.open_data import check_place
    from genre_app.runs import executor as job
    from genre_app.runs import run as runs
    from genre_app.runs.folds import cross_validate
    from genre_app.runs.request import Request
    from genre_app.runs.settings import read_settings
    from genre_app.training.processes import join

    try:
        if resume is not None:
            run = runs.Run.open(resume)
            if run.status() is runs.Status.finished:
                stop(f"{run.name} has finished; start a new run to go further")
        else:
            request = Request(
                recipe=_absolute(str(recipe), ".toml"),
                data=_absolute(str(data)),
                settings=read_settings(settings or ()),
                seed=seed,
                init_from=_absolute(init_from, ".safetensors") if init_from else None,
                columns=columns.value,
                threads=threads,
            )
            request.config()  # all names before a folder is made, which the command with the right ones could not take
            check_place(request.data)
            if request.init_from is not None:
                load_checkpoint(request.init_from)
            if folds:
                cross_validate(request, folds, out or runs.runs_folder() / runs.free_name(str(recipe)), say=_say)
                return
            processes, _ = join()
            if out is None and not processes.alone:
                stop("several processes need the run's folder by name: --out RUN_FOLDER")
            if processes.rank == 0:
                run = runs.Run.create(out.absolute(), request) if out else runs.new_run(request)
            processes.wait()  # the first one makes the folder
            if processes.rank > 0:
                run = runs.Run.open(Path(str(out)).absolute())
        if not run.status().is_active:  # else it was started just now, and stopped since
            (run.path / "stop").unlink(missing_ok=True)
        for name in ("SIGINT", "SIGTERM"):
            signal.signal(getattr(signal, name), lambda *_: run.request_stop())
        if hasattr(signal, "SIGHUP"):
            signal.signal(signal.SIGHUP, signal.SIG_IGN)  # a run outlives the terminal it was started from
        job.be_nice()
        job.work(run, say=_say)
    except job.EXPECTED as error:
        stop(job.sentence(error), exit_code=1)


def _say(text: str) -> None:
    """Print a line at once, since the page shows the log; without a terminal or a pipe to print to, a run goes on as well."""
    try:
        print(printable(text), flush=True)
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or the rest would fail again when the process ends


def _absolute(name: str, suffix: str = "") -> str:
    """Return the absolute path of what is a file or a folder here: a run is resumed from any other folder."""
    from genre_app.files import expanded

    path = expanded(name)
    return str(path.absolute()) if name.endswith(suffix) and path.exists() else name
