"""True genres of a batch: found in the names of folders and files, compared with the answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from gradio_client.utils import strip_invalid_filename_characters  # type: ignore[import-untyped]

from genre_app.evaluation.metrics import wilson_interval
from genre_app.prediction import Prediction
from genre_app.ui.batch.table import GENRE_LETTERS
from genre_app.ui.figures import View
from genre_app.ui.train.confusion import confusion_image

_NONE = "(none)"  # the answer for noise and speech


def folders_of(sent: Any, paths: Sequence[str]) -> list[str]:
    """Return the folder from which each file was dropped, empty if unknown.

    Parameters
    ----------
    sent : Any
        What the page's script says: folder by name and size of the file, since gradio drops the folders of uploads.
    paths : sequence of str
        The uploads.
    """
    known: dict[str, Any] = {}
    for key, folder in (sent if isinstance(sent, Mapping) else {}).items():
        name, _, size = key.rpartition("|")
        known[f"{strip_invalid_filename_characters(name)}|{size}"] = folder  # as gradio names the upload
    found = []
    for path in map(Path, paths):
        folder = known.get(f"{path.name}|{path.stat().st_size}") if path.is_file() else None
        found.append(folder if isinstance(folder, str) else "")
    return found


def true_genres(paths: Sequence[str], folders: Sequence[str], genres: Sequence[str]) -> list[str]:
    """Return the true genre of each file, empty if its names do not tell it.

    Parameters
    ----------
    paths : sequence of str
    folders : sequence of str
        As from `folders_of`. Folders are genres if they are known ones, or if there are several.
    genres : sequence of str
        Known genres. A file's name may start with one, as in ``blues.00001.wav``.
    """
    several = len(set(filter(None, folders))) > 1
    return [
        _known(folder, genres) or _started(path, genres) or (folder[:GENRE_LETTERS] if several else "")
        for path, folder in zip(paths, folders, strict=True)
    ]


def _known(name: str, genres: Sequence[str]) -> str:
    return next((genre for genre in genres if genre.casefold() == name.casefold()), "")


def _started(path: str, genres: Sequence[str]) -> str:
    name = Path(path).name.casefold()
    rest = {genre: name.removeprefix(genre.casefold()) for genre in genres if name.startswith(genre.casefold())}
    return max((genre for genre in rest if not rest[genre][:1].isalpha()), key=len, default="")


def score(answered: Sequence[tuple[Prediction, str]], view: View) -> str:
    """Return the accuracy with its interval, and the confusion matrix, as HTML; empty without true genres.

    Parameters
    ----------
    answered : sequence of (Prediction, str)
        The answer and the true genre, which may be empty, of each file.
    view : View
    """
    known = [(p, _known(truth, p.genres)) for p, truth in answered if truth]
    possible = [(p, truth) for p, truth in known if truth]
    n_unknown = len(known) - len(possible)
    others = "has a genre" if n_unknown == 1 else "have genres"
    unknown = f"{n_unknown} more {others} that the checkpoint does not know." if n_unknown else ""
    if not possible:
        return f'<p class="remark" role="status">{unknown}</p>' if unknown else ""
    n, n_right = len(possible), sum(p.genre == truth for p, truth in possible)
    low, high = (f"{100 * share:.0f} %" for share in wilson_interval(n_right, n))
    words = f"{100 * n_right / n:.0f} % of the files with a true genre; 95 % interval {low} to {high}. {unknown}"
    return f"""<section class="card" role="status"><h2 class="eyebrow">Accuracy</h2>
<p class="genre">{n_right} of {n}</p><p class="sub">{words}</p>{_matrix(possible, view)}</section>"""


def _matrix(possible: Sequence[tuple[Prediction, str]], view: View) -> str:
    pairs = [(truth, p.genre or _NONE) for p, truth in possible]
    named = {name for pair in pairs for name in pair}
    genres = [*(genre for genre in possible[0][0].genres if genre in named), *sorted(named - set(possible[0][0].genres))]
    counts = [[pairs.count((truth, answer)) for answer in genres] for truth in genres]
    wrong = [f"{pairs.count(pair)} × {pair[0]} as {pair[1]}" for pair in dict.fromkeys(pairs) if pair[0] != pair[1]]
    words = "Confusion matrix. " + ("; ".join(wrong) or "No answer is wrong") + "."
    shown = confusion_image(counts, genres, words, view)
    return f"<details><summary>Which genres are confused</summary>{shown}</details>"
