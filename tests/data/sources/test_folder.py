"""Folders that hold the genre folders at some level."""

from __future__ import annotations

import pytest

from genre_app.data.sources.folder import AudioFolder
from tests.data.conftest import PLAIN, fill

LAYOUTS = {
    "wrapped": "Music/",
    "GTZAN": "genres/",
    "Kaggle": "Data/genres_original/",
    "a mac's": "archive/Data/genres_original/",
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_the_folder_with_the_genres_is_found(tmp_path, layout):
    top = tmp_path / "top"
    fill(top / LAYOUTS[layout], PLAIN)
    beside = (top / LAYOUTS[layout]).parent
    (beside / "images_original/blues").mkdir(parents=True)
    (beside / "images_original/blues/blues00000.png").write_bytes(b"png")
    (beside / "features_3_sec.csv").write_text("filename,label\n")
    (top / "__MACOSX/Data").mkdir(parents=True)
    (top / "__MACOSX/Data/._x.wav").write_bytes(b"x")
    found = AudioFolder.find(top)
    assert found.path == top / LAYOUTS[layout].rstrip("/")
    assert [track.track_id for track in found.tracks] == PLAIN
    assert {track.genre for track in found.tracks} == {"blues", "my jazz"}


def test_known_folders_win_over_what_lies_beside_them(tmp_path):
    fill(tmp_path / "top/genres_original", PLAIN)
    fill(tmp_path / "top/noise", ["rain.wav", "street/car.wav"])
    assert [track.track_id for track in AudioFolder.find(tmp_path / "top").tracks] == PLAIN
