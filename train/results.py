"""Train every system by its own protocol and by ours, and compare: ``python -m train.results --data DATA --audio FOLDER``.

A finished run in the output folder is not trained again, and an interrupted one is resumed. A system without a run there keeps
its row in ``train/RESULTS.md``. *Own protocol*: split and vote of the recipe, over all tracks; if the recipe has test tracks,
those are reported. *Kept apart*: the data's own split (GTZAN's fault-filtered one), whole tracks on one side, validation tracks
reported.
"""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Annotated, Any

import typer

from genre_app.errors import RunError
from genre_app.evaluation.metrics import wilson_interval
from genre_app.runs.executor import work
from genre_app.runs.request import Request
from genre_app.runs.run import Run
from genre_app.runs.settings import Value
from genre_app.runs.status import Status

_STATED = Path(__file__).parent / "stated.toml"
_RESULTS = Path(__file__).parent / "RESULTS.md"
APART: dict[str, Value] = {"split.method": "auto", "scaler": "train"}
_PROTOCOLS = ("own", "apart")

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command()
def main(
    data: Annotated[str, typer.Option(help="Mel cache to train on; its sample rate, hop and mel bands are used.")],
    audio: Annotated[str | None, typer.Option(help="Folder of audio for the systems that use summary features.")] = None,
    out: Annotated[Path, typer.Option(help="Folder of the runs.")] = Path("runs/results"),
    only: Annotated[list[str] | None, typer.Option(help="Recipes to train; by default all.")] = None,
    protocol: Annotated[list[str] | None, typer.Option(help="own or apart; by default both.")] = None,
    train: Annotated[bool, typer.Option(help="Train the runs that have not finished. Without, only the table is made.")] = True,
    write: Annotated[bool, typer.Option(help="Put the table into train/RESULTS.md.")] = False,
    threads: Annotated[int, typer.Option(min=1, max=256)] = 2,
) -> None:
    """Train the missing runs and print the table."""
    stated = tomllib.loads(_STATED.read_text(encoding="utf-8"))
    for option, given, known in (("--only", only, stated), ("--protocol", protocol, _PROTOCOLS)):
        if unknown := sorted({*(given or ())} - {*known}):
            raise typer.BadParameter(f"there is no {unknown[0]}; choose some of: {', '.join(known)}", param_hint=option)
    if train:
        for name in only or stated:
            for of in protocol or _PROTOCOLS:
                _train(name, of, stated[name], data, audio, out, threads)
    show_table(table(stated, out, _parts("results")[1]), "results", write=write)


def _train(name: str, protocol: str, stated: dict[str, Any], data: str, audio: str | None, out: Path, threads: int) -> None:
    settings = stated.get("settings", {}) | (APART if protocol == "apart" else {})
    request = Request(recipe=name, data=data, settings=settings, columns="data", threads=threads)
    config = request.config()
    if config.spec.kind == "summary":
        if audio is None:
            print(f"{name} is left out: it needs --audio")
            return
        request = request.model_copy(update={"data": audio, "columns": "recipe"})
    elif protocol == "own" and config.split.method == "auto":
        return  # both protocols are the same
    finished_run(out / f"{name}-{protocol}", request)


def finished_run(path: Path, request: Request) -> Run:
    """Return the finished run in a folder; start or resume it if needed."""
    path = path.absolute()
    if (path / "run.json").is_file():
        run = Run.open(path)
        described = run.description()
        if (described.request, described.config) != (request, request.config()):
            raise RunError(f"{path} is a run with other settings; remove it, or name another --out.")
    else:
        run = Run.create(path, request)
    if run.status() is not Status.finished:
        print(request.command(str(path)))
        work(run, say=lambda text: print(f"  {text}", flush=True))
    return run


def _parts(name: str) -> tuple[str, str, str]:
    """Split train/RESULTS.md at the marks of a table: return the text up to it, the table, and the text after it."""
    text = _RESULTS.read_text(encoding="utf-8")
    start = text.index("\n", text.index(f"<!-- {name}: ")) + 1
    end = text.index(f"<!-- end of {name} -->")
    return text[:start], text[start:end], text[end:]


def show_table(text: str, name: str, *, write: bool) -> None:
    """Print a table, and put it between the marks ``name`` of train/RESULTS.md if ``write``."""
    print(text)
    if write:
        before, _, after = _parts(name)
        _RESULTS.write_text(before + text + after, encoding="utf-8")


def table(stated: dict[str, dict[str, Any]], out: Path, old: str = "") -> str:
    """Return the results of the finished runs as a table in Markdown; cells without a run are those of the ``old`` table."""
    known = {cells[0]: cells for cells in (line[2:-2].split(" | ") for line in old.splitlines()[2:])}
    lines = ["| recipe | source | states | own protocol | n | kept apart | n | log-loss |", "|---" * 8 + "|"]
    for name, facts in stated.items():
        own, apart = (Run(out / f"{name}-{protocol}").report() for protocol in _PROTOCOLS)
        was = known.get(f"`{name}`", [""] * 8)
        cells = [*(_cells(own, test=True) if own else was[3:5]), *(_cells(apart, test=False) if apart else was[5:7])]
        cells.append(f"{apart['valid']['log_loss']:.2f}" if apart else was[7])
        if any(cells):
            accuracy = f"{facts['accuracy']:.1%}" if "accuracy" in facts else ""
            lines.append(f"| {' | '.join((f'`{name}`', facts['source'], accuracy, *cells))} |")
    return "\n".join(lines) + "\n"


def _cells(report: dict[str, Any], *, test: bool) -> list[str]:
    part = report["test"] if test and "test" in report else report["valid"]
    accuracy, n = part["by_vote"][report["vote"]], part["n_tracks"]
    low, high = wilson_interval(round(accuracy * n), n)
    return [f"{accuracy:.1%} ({low:.0%} to {high:.0%})", str(n)]


if __name__ == "__main__":
    app()
