"""Every system, trained and measured by its own protocol and by ours: ``python -m train.results --data DATA --audio FOLDER``.

Runs go to a folder; those that have finished are not trained again, one that was interrupted goes on, and what has no run there
keeps its place in README.md's table. *Own protocol*: split
and vote of the recipe, over all tracks at hand; where the recipe keeps test tracks back, those are what is reported. *Kept
apart*: the data's own split (GTZAN's fault-filtered one), whole tracks on one side, the validation tracks reported.
"""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from genre_app.runs.request import Request
    from genre_app.runs.run import Run
    from genre_app.runs.settings import Value

_STATED = Path(__file__).parent / "stated.toml"
_README = Path(__file__).parents[1] / "README.md"
_MARKS = ("<!-- results: python -m train.results -->\n", "<!-- end of results -->")
_OURS: dict[str, Value] = {"split.method": "auto", "scaler": "train"}
_PROTOCOLS = ("own", "apart")

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command()
def main(
    data: Annotated[str, typer.Option(help="Mel cache to train on; its columns are taken.")],
    audio: Annotated[str | None, typer.Option(help="Folder of audio, for the systems on summary features.")] = None,
    out: Annotated[Path, typer.Option(help="Folder of the runs.")] = Path("runs/results"),
    only: Annotated[list[str] | None, typer.Option(help="Train these recipes; all are in the table.")] = None,
    protocol: Annotated[list[str] | None, typer.Option(help="own or apart; both by default.")] = None,
    train: Annotated[bool, typer.Option(help="Train what has not finished; otherwise only the table is made.")] = True,
    readme: Annotated[bool, typer.Option(help="Put the table into README.md.")] = False,
    threads: Annotated[int, typer.Option(min=1, max=256)] = 2,
) -> None:
    """Train what is missing and print the table."""
    stated = tomllib.loads(_STATED.read_text(encoding="utf-8"))
    if train:
        for name in only or stated:
            for of in protocol or _PROTOCOLS:
                _train(name, of, stated[name], data, audio, out, threads)
    text = table(stated, out, _parts_of_readme(_MARKS)[1])
    print(text)
    if readme:
        to_readme(text, _MARKS)


def _train(name: str, protocol: str, stated: dict[str, Any], data: str, audio: str | None, out: Path, threads: int) -> None:
    from genre_app.runs.request import Request

    request = Request(
        recipe=name,
        data=data,
        settings=stated.get("settings", {}) | (_OURS if protocol == "apart" else {}),
        columns="data",
        threads=threads,
    )
    config = request.config()
    if config.spec.kind == "summary":
        if audio is None:
            print(f"{name}: left out, since it needs --audio")
            return
        request = request.model_copy(update={"data": audio, "columns": "recipe"})
    elif protocol == "own" and config.split.method == "auto":
        return  # ours: the two are one
    finished_run(out / f"{name}-{protocol}", request)


def finished_run(path: Path, request: Request) -> Run:
    """Return the run in a folder when it has finished, having begun it or gone on with it where that was needed."""
    from genre_app.errors import RunError
    from genre_app.runs import executor as job
    from genre_app.runs.run import Run, Status

    path = path.absolute()
    if (path / "run.json").is_file():
        run = Run.open(path)
        described = run.description()
        if (described.request, described.config) != (request, request.config()):
            raise RunError(f"{path} is a run that was asked for otherwise; remove it, or name another --out.")
    else:
        run = Run.create(path, request)
    if run.status() is not Status.finished:
        print(request.command(str(path)))
        job.work(run, say=lambda text: print(f"  {text}", flush=True))
    return run


def _parts_of_readme(marks: tuple[str, str]) -> tuple[str, str, str]:
    before, rest = _README.read_text(encoding="utf-8").split(marks[0])
    inside, after = rest.split(marks[1])
    return before, inside, after


def to_readme(text: str, marks: tuple[str, str]) -> None:
    """Put a text between two marks of README.md."""
    before, _, after = _parts_of_readme(marks)
    _README.write_text(f"{before}{marks[0]}{text}{marks[1]}{after}", encoding="utf-8")


def table(stated: dict[str, dict[str, Any]], out: Path, old: str = "") -> str:
    """Return the results of the finished runs as a table in Markdown; what ``old``, such a table, has besides is kept."""
    known = {cells[0]: cells for cells in (line.strip("| ").split(" | ") for line in old.splitlines()[2:])}
    lines = [
        "| recipe | source | states | own protocol | n | kept apart | n | log-loss |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for name, facts in stated.items():
        own, apart = (_report(out / f"{name}-{protocol}") for protocol in _PROTOCOLS)
        was = known.get(f"`{name}`", [""] * 8)
        cells = [*(_cells(own, test=True) if own else was[3:5]), *(_cells(apart, test=False) if apart else was[5:7])]
        cells.append(f"{apart['valid']['log_loss']:.2f}" if apart else was[7])
        if any(cells):
            accuracy = f"{facts['accuracy']:.1%}" if "accuracy" in facts else ""
            lines.append(f"| {' | '.join((f'`{name}`', facts['source'], accuracy, *cells))} |")
    return "\n".join(lines) + "\n"


def _report(path: Path) -> dict[str, Any] | None:
    from genre_app.runs.run import Run

    return Run(path).report()


def _cells(report: dict[str, Any], *, test: bool) -> list[str]:
    from genre_app.evaluation.evaluate import wilson_interval

    part = report["test"] if test and "test" in report else report["valid"]
    accuracy, n = part["by_vote"][report["vote"]], part["n_tracks"]
    low, high = wilson_interval(round(accuracy * n), n)
    return [f"{accuracy:.1%} ({low:.0%} to {high:.0%})", str(n)]


if __name__ == "__main__":
    app()
