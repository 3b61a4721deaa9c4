"""The training command: ``python -m train RECIPE --data DATA``."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

RECIPES = Path(__file__).parent / "recipes"

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


def _list_recipes(wanted: bool) -> None:
    if wanted:
        for path in sorted(RECIPES.glob("*.toml")):
            first = path.read_text(encoding="utf-8").splitlines()[0].lstrip("# ")
            print(f"{path.stem:16} {first}")
        raise typer.Exit


@app.command()
def main(
    recipe: Annotated[str, typer.Argument(help="Name of a recipe (see --list) or path of a TOML file.")],
    data: Annotated[Path, typer.Option(help="Mel cache: a folder with spec.json, index.csv and log_mel.npy.")],
    out: Annotated[Path | None, typer.Option(help="Checkpoint to write; by default checkpoints/RECIPE.safetensors.")] = None,
    settings: Annotated[
        list[str] | None, typer.Option("--set", metavar="FIELD=VALUE", help="Replace a field of the recipe.")
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Seed of everything random.")] = None,
    folds: Annotated[int, typer.Option(min=0, max=20, help="Cross-validate over training and validation tracks instead.")] = 0,
    threads: Annotated[int, typer.Option(min=1, help="CPU threads; part of what makes weights repeat.")] = 2,
    list_recipes: Annotated[
        bool, typer.Option("--list", callback=_list_recipes, is_eager=True, help="List the recipes and stop.")
    ] = False,
) -> None:
    """Train a network by a recipe and write its checkpoint and model card."""
    from train.run import cross_validate, train

    try:
        if folds:
            cross_validate(recipe, data, out, settings or [], seed, threads, folds)
        else:
            train(recipe, data, out, settings or [], seed, threads)
    except (ValueError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        raise typer.Exit(1) from error


if __name__ == "__main__":
    app()
