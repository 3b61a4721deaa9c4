"""The Batch tab: its handlers, its table and its CSV."""

from __future__ import annotations

import csv
import io
import re
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import gradio as gr
import numpy as np
import pytest
import soundfile

from genre_app.checkpoint import Checkpoint
from genre_app.data.collection import Collection
from genre_app.predict import Prediction, from_segments
from genre_app.ui import offered, service
from genre_app.ui.batch import actions, tab
from genre_app.ui.batch.tab import classify_file
from genre_app.ui.batch.table import Row, to_csv, to_html
from genre_app.ui.batch.truth import score, true_genres
from genre_app.ui.figures import View
from genre_app.ui.page import build_app
from tests.pages import following, handler, named


@pytest.fixture(scope="module")
def app(bundled):
    return build_app()


def batch(
    app, paths: list[str], folders: dict[str, str] | None = None, before: tab.Going | None = None, asked: float = 1.0
) -> Iterator[dict]:
    """What the page shows, step by step, after files were dropped that came from these folders."""
    run = handler(app, "Songs", "upload").fn
    return run(paths, "default", "mean", folders, asked, None, before, gr.Request(session_hash="one"))


def predicted(checkpoint: Checkpoint, *probabilities: float, name: str = "song.wav") -> Prediction:
    """A prediction from one segment whose first genres have these probabilities and whose other genres share the rest."""
    rest = (1 - sum(probabilities)) / (10 - len(probabilities))
    row = np.array([[*probabilities, *[rest] * (10 - len(probabilities))]], np.float32)
    sounds = np.ones(1, bool)
    return from_segments(checkpoint, [0], row, spec=checkpoint.spec, sounds=sounds, name=name, duration_seconds=3.0)


def cells(html: str) -> list[str]:
    """The cells of the table's only row, as text: file with remarks, genre, probability with agreement."""
    return [re.sub("<[^>]+>", "", cell) for cell in re.findall("<td[^>]*>(.*?)</td>", html)]


def lines(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


def test_a_bad_file_does_not_stop_the_batch(app, song, tmp_path, checkpoint):
    bad = tmp_path / "bad.mp3"
    bad.write_text("no music")
    updates = [named(u) for u in batch(app, [song, str(bad), song])]
    assert [re.search(r"(\d) of 3", u["progress"])[1] for u in updates if u.get("progress")] == ["0", "1", "2", "3"]
    end = updates[-1]
    assert end["results"].count("<tr") == 1 + 3
    assert "not an audio file" in end["results"]
    assert "1 without an answer" in end["progress"]
    rows = lines(Path(end["Download CSV"].value["path"]).read_text())
    assert [row["file"] for row in rows] == ["song.wav", "bad.mp3", "song.wav"]
    assert rows[1]["genre"] == ""
    assert "not an audio file" in rows[1]["error"]
    assert rows[0] == rows[2]
    assert sum(float(rows[0][genre]) for genre in checkpoint.genres) == pytest.approx(1, abs=1e-6)


def test_a_batch_is_bounded(app, song, monkeypatch):
    monkeypatch.setattr("genre_app.ui.batch.tab.MAX_FILES", 2)
    *_, end = map(named, batch(app, [song] * 3))
    assert end["results"].count("<tr") == 1 + 2
    assert "takes 2 files" in end["progress"]


def test_stop_finishes_the_table_and_clear_empties_it(app, song, monkeypatch):
    running = batch(app, [song] * 3)
    going = named(next(running))["State"]
    stop = handler(app, "Stop", "click").fn

    def stopped_meanwhile(*arguments):
        stopping = named(stop(going))
        assert (stopping["Stop"].interactive, stopping["Stop"].value) == (False, "Stopping …")
        return classify_file(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(tab, "classify_file", stopped_meanwhile)
        _, end = map(named, running)
    assert (end["Classify again"].interactive, end["Stop"].interactive, end["Stop"].value) == (True, False, "Stop")
    assert "1 of 3 done · stopped" in end["progress"]
    assert end["results"].count("<tr") == 1 + 1
    assert "data-done" in end["results"]
    assert len(lines(Path(end["Download CSV"].value["path"]).read_text())) == 1
    clear = handler(app, "Songs", "clear").fn
    running = batch(app, [song] * 2)
    going = named(next(running))["State"]
    next(running)
    for cleared in (named(clear(going, 2.0)), *map(named, running)):
        assert (cleared["Classify again"].interactive, cleared["Stop"].interactive) == (False, False)
        assert cleared["results"] == cleared["progress"] == cleared["batch-score"] == ""
        assert cleared["Download CSV"].visible is False
        assert cleared["batch-player"].visible is False


def test_a_batch_ends_the_one_before_which_then_shows_nothing(app, song):
    before = batch(app, [song] * 2)
    going = named(next(before))["State"]
    next(before)
    *_, end = map(named, batch(app, [song], before=going))
    assert "1 of 1 done" in end["progress"]
    assert [list(update.values()) for update in before] == [[gr.skip()]]


def test_a_batch_that_waited_does_not_start_after_clear_or_a_later_batch(app, song):
    cleared = named(handler(app, "Songs", "clear").fn(None, 2.0))["State"]
    (update,) = batch(app, [song], before=cleared, asked=1.0)
    assert list(update.values()) == [gr.skip()]
    later = batch(app, [song], before=cleared, asked=3.0)
    going = named(next(later))["State"]
    assert len(list(batch(app, [song], before=going, asked=2.5))) == 1
    *_, end = map(named, later)
    assert "1 of 1 done" in end["progress"]


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


def test_without_references_the_knn_vote_is_a_rows_error(bundled, song, make_checkpoint, monkeypatch):
    monkeypatch.setattr(service, "checkpoint_named", lambda name, own: make_checkpoint(references=False))
    row = classify_file(song, None, "knn")
    assert row.prediction is None
    assert "no reference tracks" in row.error


@pytest.mark.parametrize(
    ("paths", "folders", "truths"),
    [
        (["blues.00001.wav", "hiphop-2.mp3", "BLUES 3.ogg"], ["", "", ""], ["blues", "hiphop", "blues"]),
        (["bluesy.wav", "song.wav"], ["", ""], ["", ""]),
        (["1.wav", "2.wav"], ["Jazz", "jazz"], ["jazz", "jazz"]),
        (["1.wav", "2.wav"], ["my songs", "my songs"], ["", ""]),  # a single folder may hold anything
        (["1.wav", "2.wav"], ["dub", "ska"], ["dub", "ska"]),
        (["metal.1.wav", "2.wav"], ["jazz", ""], ["jazz", ""]),
    ],
)
def test_true_genres_come_from_folders_and_names(checkpoint, paths, folders, truths):
    assert true_genres(paths, folders, checkpoint.genres) == truths


def test_the_accuracy_has_its_interval_and_a_matrix(checkpoint):
    right, wrong = predicted(checkpoint, 0.9), predicted(checkpoint, 0.05, 0.9)
    assert wrong.genre == "classical"
    noise = replace(right, is_noise=True)
    html = score([*[(right, "blues")] * 6, (wrong, "Blues"), (noise, "blues"), (right, "dub"), (wrong, "")], View())
    assert ">6 of 8<" in html
    assert "75 % of the files with a true genre; 95 % interval 41 % to 93 %." in html
    assert "1 more has a genre that the checkpoint does not know." in html
    assert "1 × blues as classical; 1 × blues as (none)" in html
    assert score([(right, "")], View()) == ""
    assert "does not know" in score([(right, "<b>")], View())


def test_a_dropped_folder_is_scored_and_a_true_genre_can_be_changed(app, song, tmp_path, monkeypatch):
    monkeypatch.setenv("GENRE_APP_COLLECTIONS", str(tmp_path / "collections"))
    size = Path(song).stat().st_size
    *_, end = map(named, batch(app, [song], {f"song.wav|{size}": "Jazz"}))
    assert 'value="jazz"' in end["results"]
    rows = end["State"]
    event = gr.EventData(None, {"row": 0, "genre": ' a<b>"c '})
    changed, path = actions.set_truth(rows, event)
    assert (rows[0].truth, changed[0].truth) == ("jazz", 'a<b>"c')
    assert lines(Path(path).read_text())[0]["true_genre"] == 'a<b>"c'
    assert 'value="a&lt;b&gt;&quot;c"' in to_html(changed, ["<i>"])
    assert "<i>" not in to_html(changed, ["<i>"])
    for forged in ({"row": 7}, {"row": "0"}, {"row": -1}, "x", None):
        assert all("__type__" in update for update in actions.set_truth(rows, gr.EventData(None, forged)))
        assert "This row is gone" in actions.keep(rows, None, gr.EventData(None, forged), gr.Request(session_hash="one"))
    # On demand, the row goes to the collection, with the answer.
    said = actions.keep(rows, None, gr.EventData(None, {"row": 0}), gr.Request(session_hash="one"))
    assert "Added to jazz in the collection my-music." in said
    (clip,) = Collection(tmp_path / "collections" / "my-music").read().clips
    prediction = rows[0].prediction
    assert (clip.genre, clip.origin, clip.source, clip.answer) == ("jazz", "batch", "song.wav", prediction.genre)
    assert clip.probability == pytest.approx(prediction.probabilities.max(), abs=1e-4)
    none = [replace(rows[0], truth="")]
    assert "Type the true genre" in actions.keep(none, None, gr.EventData(None, {"row": 0}), gr.Request(session_hash="one"))


def test_a_row_is_played_and_opened_by_its_number_only(app, song, checkpoint, tmp_path, monkeypatch):
    secret = tmp_path / "secret.wav"
    shutil.copyfile(song, secret)
    gone = Row("gone.wav", predicted(checkpoint, 0.9), path=str(tmp_path / "gone.wav"))
    answer = replace(predicted(checkpoint, 0.9), vote="knn", checkpoint="default + run: one")
    rows = [Row("song.wav", answer, path=song), gone, Row("bad.mp3", None, "no", path=song)]
    player, words = actions.play(rows, gr.EventData(None, {"row": 0, "path": str(secret)}))
    assert (player.label, player.visible, words) == ("song.wav", True, "")
    assert Path(player.value["path"]).read_bytes() == Path(song).read_bytes()
    monkeypatch.setattr(
        offered, "still_offered", lambda names, own: {"value": names, "choices": [*names, own], "multiselect": True}
    )
    open_row = handler(app, "results", "open").fn
    shown = named(open_row(rows, "mine", gr.EventData(None, {"row": 0, "path": str(secret)})))
    assert shown["State"] == song
    fill = following(app, handler(app, "results", "open")).fn
    assert (fill(song), fill(None)) == (song, gr.skip())
    assert (shown["Checkpoint"].value, shown["vote"].value, shown["overlap"]) == (["default", "run: one"], "knn", "trained")
    assert shown["Checkpoint"].choices[-1] == ("mine", "mine")
    assert (shown["Tabs"].selected, shown["Checkbox"], shown["batch-said"]) == ("Classify", True, "")
    gone_words = "gone.wav is no longer here; upload it again."
    for data, words in (
        ({"row": 1}, gone_words),
        ({"row": 3}, "This row is gone"),
        ({"row": str(secret)}, "gone"),
        (None, "gone"),
    ):
        player, said = actions.play(rows, gr.EventData(None, data))
        assert (player.value, player.visible) == (None, False)
        assert words in said
        refused = named(open_row(rows, None, gr.EventData(None, data)))
        assert set(refused) == {"batch-said", "Checkbox", "State"}
        assert refused["State"] is None
        assert words in refused["batch-said"]
        assert refused["Checkbox"] is False
    assert named(open_row(rows, None, gr.EventData(None, {"row": 2})))["Checkbox"] is False
