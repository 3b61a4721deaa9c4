"""What a row of a batch can do: its true genre changes, it is collected, played and opened in Classify."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import gradio as gr
import pytest

from genre_app.data.collection import Collection
from genre_app.ui import offered
from genre_app.ui.batch import actions
from genre_app.ui.batch.table import Row, to_html
from tests.pages import following, handler, named
from tests.ui.batch.rows import batch, lines, predicted


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
    gone = [replace(rows[0], path=str(tmp_path / "gone.wav"))]
    said = actions.keep(gone, None, gr.EventData(None, {"row": 0}), gr.Request(session_hash="one"))
    assert "song.wav is no longer here; upload it again." in said
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
