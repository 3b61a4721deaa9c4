"""A report on a library as one HTML file: counts per genre, unsure tracks, duplicates and errors."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

from genre_app.library.records import Track
from genre_app.prediction import REJECTED_WORDS

_WAITING = "it is not classified yet"
_WORDS = dict[str | None, str](REJECTED_WORDS.items())
_STYLE = """
:root { color-scheme: light dark; --bar: #4f5bd5; --rest: #8f97c4; }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
table { border-collapse: collapse; width: 100%; }
th, td { text-align: left; padding: .2rem .8rem .2rem 0; vertical-align: top; overflow-wrap: anywhere; }
td.n { text-align: right; white-space: nowrap; overflow-wrap: normal; }
td.bar { width: 60%; } td.bar div { display: flex; height: 1.1rem; }
i { background: var(--rest); } i.sure { background: var(--bar); }
summary { cursor: pointer; font-size: 1.2rem; margin-top: 1.5rem; }
"""


@dataclass(frozen=True)
class Summary:
    """What the files of a library are.

    Attributes
    ----------
    n_files : int
    sure, unsure : collections.Counter
        Number of tracks by genre.
    rejected : collections.Counter
        Number of files without music, by the words for them.
    doubtful : list of Track
        The unsure tracks.
    duplicates : list of list of Track
        Files with the same content.
    failed : list of Track
        Files that cannot be classified.
    """

    n_files: int
    sure: Counter[str]
    unsure: Counter[str]
    rejected: Counter[str]
    doubtful: list[Track]
    duplicates: list[list[Track]]
    failed: list[Track]

    @property
    def n_copies(self) -> int:
        """Number of copies: of the files with the same content, all but one."""
        return sum(len(group) - 1 for group in self.duplicates)

    @property
    def genres(self) -> list[str]:
        """The genres that occur, the most frequent first."""
        return [genre for genre, _ in sorted((self.sure + self.unsure).items(), key=lambda item: (-item[1], item[0]))]

    def to_dict(self) -> dict[str, Any]:
        """Return plain data with the keys of ``genre-app library --format json``."""
        return {
            "files": self.n_files,
            "genres": {g: {"sure": self.sure[g], "unsure": self.unsure[g]} for g in self.genres},
            "rejected": dict(self.rejected),
            "duplicates": [[track.shown for track in group] for group in self.duplicates],
            "errors": {track.shown: track.error or _WAITING for track in self.failed},
        }

    def to_table(self) -> str:
        """Return the numbers as text."""
        width = max((len(name) for name in [*self.genres, *self.rejected]), default=0)
        lines = [f"{g:<{width}}  {self.sure[g] + self.unsure[g]:>6}  {self.sure[g]:>6} sure" for g in self.genres]
        lines += [f"{words:<{width}}  {n:>6}" for words, n in sorted(self.rejected.items())]
        return "\n".join(
            [*lines, f"{self.n_files} files, {self.n_copies} of them copies; {len(self.failed)} cannot be classified"]
        )


def summarise(tracks: Sequence[Track]) -> Summary:
    """Count the tracks of a library."""
    found = Summary(len(tracks), Counter(), Counter(), Counter(), [], [], [])
    by_content: dict[str, list[Track]] = defaultdict(list)
    for track in tracks:
        by_content[track.content].append(track)
        answer = track.answer
        if track.error or answer is None:
            found.failed.append(track)
        elif answer.genre is None:
            found.rejected[_WORDS.get(answer.rejected, _WORDS["other"])] += 1
        elif answer.sure:
            found.sure[answer.genre] += 1
        else:
            found.unsure[answer.genre] += 1
            found.doubtful.append(track)
    found.duplicates.extend(group for content, group in by_content.items() if content and len(group) > 1)
    return found


def report_html(tracks: Sequence[Track], title: str, checkpoint: str) -> str:
    """Return the report as HTML that needs no other file.

    Parameters
    ----------
    tracks : sequence of Track
    title : str
        Name of the library.
    checkpoint : str
        Name of the checkpoint that answered.
    """
    found = summarise(tracks)
    said = f"{found.n_files} files, classified by {checkpoint}: {found.sure.total()} sure, {len(found.doubtful)} unsure, "
    said += f"{found.rejected.total()} without music, {found.n_copies} copies, {len(found.failed)} not classified."
    unsure = [
        (track.shown, *(f"{genre} {p:.0%}" for genre, p in track.answer.top(2))) for track in found.doubtful if track.answer
    ]
    copies = [(group[0].shown, ", ".join(track.shown for track in group[1:])) for group in found.duplicates]
    errors = [(track.shown, track.error or _WAITING) for track in found.failed]
    parts = [
        f"<h1>{_text(title)}</h1><p>{_text(said)}</p><h2>Genres</h2>",
        _bars(found),
        _section("Unsure tracks", ("file", "first", "second"), unsure),
        _section("Duplicates", ("file", "has the same content as"), copies),
        _section("Not classified", ("file", "reason"), errors),
    ]
    policy = "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">"
    head = f'<meta charset="utf-8">{policy}<meta name="viewport" content="width=device-width"><title>{_text(title)}</title>'
    return f'<!doctype html><html lang="en"><head>{head}<style>{_STYLE}</style></head><body>{"".join(parts)}</body></html>\n'


def _bars(found: Summary) -> str:
    most = max((found.sure + found.unsure).values(), default=1)
    rows = []
    for genre in found.genres:
        sure, unsure = found.sure[genre], found.unsure[genre]
        widths = (f'<i class="{name}" style="width:{100 * n / most:.2f}%"></i>' for name, n in (("sure", sure), ("", unsure)))
        n = f'<td class="n">{sure + unsure}</td><td class="n">{sure} sure</td>'
        rows.append(f'<tr><th scope="row">{_text(genre)}</th>{n}<td class="bar"><div>{"".join(widths)}</div></td></tr>')
    rows += [f'<tr><th scope="row">{_text(w)}</th><td class="n">{n}</td></tr>' for w, n in sorted(found.rejected.items())]
    return f"<table>{''.join(rows)}</table>"


def _section(title: str, names: Iterable[str], rows: Sequence[Iterable[str]]) -> str:
    head = "".join(f'<th scope="col">{name}</th>' for name in names)
    body = "".join("<tr>" + "".join(f"<td>{_text(cell)}</td>" for cell in row) + "</tr>" for row in rows)
    table = f"<table><tr>{head}</tr>{body}</table>" if rows else "<p>None.</p>"
    return f"<details open><summary>{title}: {len(rows)}</summary>{table}</details>"


def _text(text: str) -> str:
    """Escape a text, whose letters may come from the name of a file: no markup, no control characters."""
    return escape("".join(letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in text))
