"""The report, the playlists and the table of a library, also with names that mean something in HTML, CSV and M3U."""

from __future__ import annotations

import csv
import io
import os
from html.parser import HTMLParser

import pytest

from genre_app.library.playlists import write_playlists, write_table
from genre_app.library.records import Answer, Track
from genre_app.library.report import report_html, summarise

BAD = "<script>alert(1)</script>&\"'.flac"


def track(path: str, genre: str | None = "jazz", *, sure: bool = True, content: str = "", error: str = "", **others) -> Track:
    answer = Answer(genre, sure=sure, probabilities={"jazz": 0.7, "rock": 0.3}, error=error, time="then", **others)
    return Track(path, (1, 2, True), content or path, answer, error)


TRACKS = [
    track("a/one.flac"),
    track("a/two.flac", content="a/one.flac"),
    track(BAD, sure=False),
    track(os.fsdecode(b"caf\xe9.mp3"), "rock"),
    track("hiss.wav", None, sure=False, rejected="noise"),
    track("=HYPERLINK(1).mp3", None, sure=False, error="a reason, <b>"),
    track("line\nbreak.mp3"),
    track("#hash.mp3"),
]


class Page(HTMLParser):
    """Collects what a page loads, its tags and its text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags, self.loads, self.texts = set(), [], []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.tags.add(tag)
        self.loads += [
            (name, value) for name, value in attributes if name in ("src", "href", "srcset") or name.startswith("on")
        ]

    def handle_data(self, data):
        self.texts.append(data)


def test_the_summary_counts_each_file_once():
    found = summarise(TRACKS)
    assert found.to_dict() == {
        "files": 8,
        "genres": {"jazz": {"sure": 4, "unsure": 1}, "rock": {"sure": 1, "unsure": 0}},
        "rejected": {"no music": 1},
        "duplicates": [["a/one.flac", "a/two.flac"]],
        "errors": {"=HYPERLINK(1).mp3": "a reason, <b>"},
    }
    assert "8 files, 1 of them copies; 1 cannot be classified" in found.to_table()


def test_the_report_needs_no_other_file_and_runs_no_name():
    text = report_html(TRACKS, BAD, "tiny")
    page = Page(text)
    assert page.loads == []
    assert not page.tags & {"script", "img", "link", "iframe", "b"}
    assert page.texts.count(BAD) == 3  # title, heading, unsure track
    assert "default-src 'none'" in text
    assert {"jazz 70%", "rock 30%", "a/two.flac", "a reason, <b>", "caf\ufffd.mp3"} <= {*page.texts, "caf\ufffd.mp3"}
    assert "8 files, classified by tiny: 5 sure, 1 unsure, 1 without music, 1 copies, 1 not classified." in page.texts
    assert 'width:80.00%"></i><i class="" style="width:20.00%"' in text  # jazz: 4 sure and 1 unsure of 5
    text.encode()  # holds no surrogates


def test_playlists_name_the_sure_tracks_from_where_they_lie(tmp_path):
    music, lists = tmp_path / "music", tmp_path / "other" / "lists"
    for one in TRACKS:
        (music / one.path).parent.mkdir(parents=True, exist_ok=True)
        (music / one.path).touch()
    (tmp_path / "link").symlink_to(music)
    lists.mkdir(parents=True)
    (lists / "mine.m3u8").write_bytes(b"#EXTM3U\nmine.mp3\n")
    assert write_playlists(TRACKS, tmp_path / "link", lists) == ["line\nbreak.mp3"]
    found = {path.name: path.read_bytes().splitlines() for path in lists.iterdir()}
    assert found.keys() == {"jazz.m3u8", "rock.m3u8", "mine.m3u8"}
    entries = {name: [line for line in lines if not line.startswith(b"#")] for name, lines in found.items()}
    assert [os.path.realpath(lists / os.fsdecode(line)) for line in entries["jazz.m3u8"]] == [
        str(music / name) for name in ("a/one.flac", "a/two.flac", "#hash.mp3")
    ]
    assert entries["rock.m3u8"] == [b"../../music/caf\xe9.mp3"]
    write_playlists(TRACKS[:1], music, music)
    assert b"a/one.flac" in (music / "jazz.m3u8").read_bytes().splitlines()
    write_playlists([TRACKS[7]], music, lists)
    assert {path.name for path in lists.iterdir()} == {"jazz.m3u8", "mine.m3u8"}  # rock has no track any more


def test_a_playlist_of_another_program_stays(tmp_path):
    (tmp_path / "Jazz.m3u8").write_bytes(b"mine.mp3\n")
    for _ in range(2):
        write_playlists(TRACKS[:1], tmp_path, tmp_path)
        assert sorted(path.name for path in tmp_path.iterdir()) == ["Jazz.m3u8", "jazz_.m3u8"]
    assert (tmp_path / "Jazz.m3u8").read_bytes() == b"mine.mp3\n"
    assert b"a/one.flac" in (tmp_path / "jazz_.m3u8").read_bytes()


@pytest.mark.parametrize("genre", ["../../up", "a/b", "CON", "..", 'x<>"|?*:', "nul.x"])
def test_a_genre_is_no_path(tmp_path, genre):
    lists = tmp_path / "lists"
    write_playlists([track("one.mp3", genre), track("two.mp3", "a_b"), track("three.mp3", "a:b")], tmp_path, lists)
    names = sorted(path.name for path in lists.iterdir())
    assert len(names) == 3
    assert [path.name for path in tmp_path.iterdir()] == ["lists"]
    assert not any(set(name) & set('<>"|?*:/\\') for name in names)


def test_the_table_has_a_line_a_file_and_no_formulas(tmp_path):
    new, returned = Track("new.mp3", (0, 0, False), "", None, "+it"), Track("a\rb.mp3", (0, 0, False), "", None, "")
    write_table([*TRACKS, new, returned], tmp_path / "t.csv")
    rows = list(csv.DictReader(io.StringIO((tmp_path / "t.csv").read_bytes().decode(), newline="")))
    assert len(rows) == 10
    assert rows[9]["file"] == "a\rb.mp3"
    assert [row["file"] for row in rows[2:4]] == [BAD, "caf\ufffd.mp3"]
    assert rows[0] == {
        "file": "a/one.flac",
        "genre": "jazz",
        "sure": "true",
        "rejected": "",
        "jazz": "0.7",
        "rock": "0.3",
        "warnings": "",
        "content": "a/one.flac",
        "time": "then",
        "error": "",
    }
    assert (rows[5]["file"], rows[5]["error"]) == ("./=HYPERLINK(1).mp3", "a reason, <b>")
    assert (rows[8]["genre"], rows[8]["error"]) == ("", "'+it")
    assert rows[6]["file"] == "line\nbreak.mp3"
