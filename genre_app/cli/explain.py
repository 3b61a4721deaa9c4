"""genre-app explain: say which bands and moments decide the answer for a file, and write them as sound."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from genre_app.cli._shared import (
    CheckpointOption,
    ReportFormat,
    ThreadsOption,
    open_checkpoint,
    printable,
    stop,
    stopping_on_errors,
)

if TYPE_CHECKING:
    from genre_app.explain import Explanation
    from genre_app.prediction import Prediction


def explain(
    file: Annotated[str, typer.Argument(metavar="FILE", help="Audio file, or a video with sound.", show_default=False)],
    genre: Annotated[str | None, typer.Option(help="Genre to explain; by default the winner and the runner-up.")] = None,
    only: Annotated[Path | None, typer.Option(metavar="WAV", help="Write the sound of only the decisive parts.")] = None,
    without: Annotated[Path | None, typer.Option(metavar="WAV", help="Write the sound without the decisive parts.")] = None,
    checkpoint: CheckpointOption = None,
    threads: ThreadsOption = None,
    format_: ReportFormat = "table",
) -> None:
    """Say which frequency bands and moments of a file speak for a genre.

    The work grows with the length of the file: 30 s take a few seconds. The sounds are those of the first explained genre.
    """
    model = open_checkpoint(checkpoint, threads)
    if genre is not None and genre not in model.genres:
        stop(f"there is no genre {genre!r}; choose one of: {', '.join(model.genres)}")
    from genre_app.audio import load_clip, wav_file
    from genre_app.errors import AudioError, CheckpointError
    from genre_app.explain import explain as explain_clip
    from genre_app.explain import mask_audio
    from genre_app.files import write_whole
    from genre_app.predict import classify

    try:
        clip = load_clip(file, sample_rate=model.sample_rate)
        prediction = classify(clip, model)
        if not prediction.is_music:
            stop(f"{file}: there is nothing to explain, because the file holds only {prediction.rejected}", exit_code=1)
        found = explain_clip(clip, model)
    except AudioError as error:
        stop(str(error), exit_code=1)
    except CheckpointError as error:
        stop(str(error))
    genres = [genre] if genre is not None else [name for name, _ in prediction.top(2)]
    for path, keep in ((only, True), (without, False)):
        if path is not None:
            sound = mask_audio(clip, found.grid, found.marked(genres[0]), keep=keep)
            with stopping_on_errors(path, unwritten=1):
                write_whole(path, wav_file(sound.samples, sound.sample_rate))
    if format_ == "json":
        print(json.dumps(_as_json(file, prediction, found, genres), allow_nan=False))
    else:
        for name in genres:
            print(printable(_line(prediction, found, name)))


def _line(prediction: Prediction, found: Explanation, genre: str) -> str:
    from genre_app.explain import hertz

    p = prediction.probabilities[prediction.genres.index(genre)]
    bands = " and ".join(f"{hertz(low)} to {hertz(high)}" for low, high in found.bands(genre))
    start, end = found.moment(genre)
    where = f"mostly {bands}, most at {start:.1f} to {end:.1f} s" if bands else "no part of the sound speaks for it"
    return f"{genre:<{max(map(len, prediction.genres))}} {p:>4.0%}  {where}"


def _as_json(file: str, prediction: Prediction, found: Explanation, genres: list[str]) -> dict[str, object]:
    return {
        "file": file.encode("utf-8", "replace").decode("utf-8"),
        "checkpoint": prediction.checkpoint,
        "probabilities": {name: float(prediction.probabilities[prediction.genres.index(name)]) for name in genres},
        "bands_hz": found.grid.bands_hz.tolist(),
        "times": found.grid.times.tolist(),
        "importance": {name: found.of(name).tolist() for name in genres},
        "marked": {name: found.marked(name).tolist() for name in genres},
    }
