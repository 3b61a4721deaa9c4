"""True genres of a batch, and its score."""

from __future__ import annotations

from dataclasses import replace

import pytest

from genre_app.ui.batch.truth import folders_of, score, true_genres
from genre_app.ui.figures import View
from tests.ui.batch.rows import predicted


@pytest.mark.parametrize(
    ("paths", "folders", "truths"),
    [
        (["blues.00001.wav", "hiphop-2.mp3", "BLUES 3.ogg"], ["", "", ""], ["blues", "hiphop", "blues"]),
        (["bluesy.wav", "song.wav"], ["", ""], ["", ""]),
        (["blues", "jazz1"], ["", ""], ["blues", "jazz"]),  # without a suffix
        (["1.wav", "2.wav"], ["Jazz", "jazz"], ["jazz", "jazz"]),
        (["1.wav", "2.wav"], ["my songs", "my songs"], ["", ""]),  # a single folder may hold anything
        (["1.wav", "2.wav"], ["dub", "ska"], ["dub", "ska"]),
        (["metal.1.wav", "2.wav"], ["jazz", ""], ["jazz", ""]),
    ],
)
def test_true_genres_come_from_folders_and_names(checkpoint, paths, folders, truths):
    assert true_genres(paths, folders, checkpoint.genres) == truths


def test_a_folder_is_known_by_the_original_name_of_a_file_whose_upload_lacks_some_letters(tmp_path):
    (tmp_path / "Help.mp3").write_bytes(b"12345")
    paths = [str(tmp_path / "Help.mp3"), str(tmp_path / "gone.mp3")]
    assert folders_of({"Help!.mp3|5": "rock", "a|b.mp3|7": "pop"}, paths) == ["rock", ""]
    assert folders_of({"Help.mp3|5": ["rock"]}, paths) == folders_of(None, paths) == ["", ""]


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
