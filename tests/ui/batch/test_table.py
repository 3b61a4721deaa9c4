"""The table of a batch and its CSV."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile

from genre_app.checkpoint import Checkpoint
from genre_app.ui import service
from genre_app.ui.batch.tab import classify_file
from genre_app.ui.batch.table import Row, to_csv, to_html
from tests.ui.batch.rows import cells, lines, predicted


def test_noise_has_no_genre_in_table_and_csv(bundled, tmp_path):
    soundfile.write(tmp_path / "noise.wav", np.random.default_rng(0).normal(0, 0.1, 10 * 22050), 22050)
    row = classify_file(str(tmp_path / "noise.wav"), "default", "mean")
    guess = row.prediction.guess
    remarks, genre, probability = cells(to_html([row]))
    assert (genre, probability) == ("No music heard", "")
    assert f"The model's guess, which means nothing for noise: {guess}" in remarks.replace("&#x27;", "'")
    (line,) = lines(to_csv([row]))
    assert (line["genre"], line["rejected"], line["sure"], line["frames_agree"]) == ("", "noise", "false", "")
    assert f"The model's guess, which means nothing for noise: {guess}" in line["warnings"]


def test_speech_has_no_genre_in_table_and_csv(checkpoint):
    row = Row("talk.wav", replace(predicted(checkpoint, 0.9), is_speech=True))
    remarks, genre, probability = cells(to_html([row]))
    assert (genre, probability) == ("This sounds like speech, not music", "")
    assert "which means nothing for speech: blues, 90&nbsp;%" in remarks
    (line,) = lines(to_csv([row]))
    assert (line["genre"], line["rejected"], line["sure"]) == ("", "speech", "false")


@pytest.mark.parametrize(
    ("probabilities", "words"),
    [((0.32, 0.12), "not sure: blues or classical"), ((0.5, 0.4), "not sure: blues or classical"), ((0.8, 0.1), "blues")],
)
def test_a_weak_answer_is_not_sure(checkpoint, probabilities, words):
    row = Row("song.wav", predicted(checkpoint, *probabilities))
    assert cells(to_html([row]))[1] == words
    assert (f"<b>{words}</b>" in to_html([row])) is (words == "blues")
    assert lines(to_csv([row]))[0]["sure"] == str(words == "blues").lower()


def test_lines_break_between_the_words_of_a_name_and_not_inside_its_extension(checkpoint):
    row = Row("my_song-1.00004.wav", predicted(checkpoint, 0.9))
    table = to_html([row, Row("noext", None, "noext: no sound"), Row("...", None, ""), Row("a_&b", None, "")])
    assert '>my_<wbr>song-<wbr>1.<wbr>00004<span class="suffix">.wav</span>' in table
    assert ">noext<" in table
    assert ">a_<wbr>&amp;b<" in table
    assert ".suffix { white-space: nowrap" in (Path(service.__file__).parent / "assets" / "batch.css").read_text()


def test_each_row_counts_in_one_group(checkpoint):
    sure, unsure = predicted(checkpoint, 0.9), predicted(checkpoint, 0.5, 0.4)
    noise = replace(sure, is_noise=True)
    rows = [Row(f"{n}.wav", p) for n, p in enumerate([sure, unsure, noise, None, sure, predicted(checkpoint, 0.05, 0.9)])]
    table = to_html(rows, [])
    found = re.findall(r'class="filter" data-group="([^"]*)" aria-pressed="(\w+)">(.*?) <b>(\d)</b>', table)
    assert found == [
        ("", "true", "all", "6"),
        ("genre:blues", "false", "blues", "2"),
        ("genre:classical", "false", "classical", "1"),
        ("unsure", "false", "not sure", "1"),
        ("none", "false", "no genre", "1"),
        ("error", "false", "errors", "1"),
    ]
    assert re.findall(r'data-row="(\d)" data-group="([^"]*)"(?: data-genre="(\w+)")?', table) == [
        ("0", "genre:blues", "blues"),
        ("1", "unsure", "blues"),
        ("2", "none", ""),
        ("3", "error", ""),
        ("4", "genre:blues", "blues"),
        ("5", "genre:classical", "classical"),
    ]
    assert table.count('class="play"') == table.count('class="open"') == 5  # all but the one that was not decoded
    assert "Unsure first" in table
    assert "Unsure first" not in to_html(rows[:1], []) + to_html(rows[1:2], [])
    # While files are still being classified, the rows stay where they are.
    running = to_html(rows)
    assert "data-done" in table
    assert not any(part in running for part in ("data-done", "Unsure first", "sorter"))


def test_names_and_errors_are_escaped(checkpoint):
    evil = "<script>alert(1)</script>"
    other = Checkpoint.single(checkpoint.model, checkpoint.spec, (evil, *checkpoint.genres[1:]), name=evil)
    table = to_html([Row(evil, None, evil), Row(evil, predicted(other, 0.9)), Row(evil, predicted(other, 0.3))])
    assert "<script" not in table
    assert table.count("&lt;script&gt;") >= 5
