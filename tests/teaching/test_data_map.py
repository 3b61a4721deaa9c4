"""The map of labelled clips: places, clusters, and what it finds remarkable."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import silhouette_score
from typer.testing import CliRunner

from genre_app.checkpoint import save_checkpoint
from genre_app.cli import build
from genre_app.errors import DataError
from genre_app.features.summary import SUMMARY_NAMES
from genre_app.teaching.data_map import data_map, embedding_values, feature_values
from genre_app.teaching.examples import Example, folder_examples
from genre_app.teaching.teach import teach
from genre_app.ui.teach.map_card import card
from tests.teaching.music import fill


def examples(labels: list[str]) -> list[Example]:
    return [Example(Path(f"{n}.wav"), label, f"{label}/{n}.wav", str(n)) for n, label in enumerate(labels)]


@pytest.fixture(scope="module")
def clouds() -> np.ndarray:
    """Three clouds of ten clips; 3 is a copy of 2, and 29 lies far from all."""
    random = np.random.default_rng(0)
    values = np.repeat(10 * np.eye(3, 20), 10, axis=0) + random.normal(0, 1, (30, 20))
    values[3] = values[2] + 0.01
    values[29] += 60 * random.normal(0, 1, 20)
    return values


def test_clouds_become_clusters_and_copies_and_odd_clips_are_found(clouds):
    labels = ["dub"] * 10 + ["ska"] * 10 + ["pop"] * 10
    found = data_map(clouds, examples(labels))
    assert found.points.shape == (30, 2)
    assert found.genre_silhouette == pytest.approx(silhouette_score(found.points, labels))
    assert found.genre_silhouette > 0.4
    assert len({tuple(sorted(set(found.clusters[start : start + 9]))) for start in (0, 10, 20)}) == 3, (
        "a cluster for each cloud"
    )
    assert found.alike == (("dub/2.wav", "dub/3.wav"),)
    assert found.odd == ("pop/29.wav",)
    np.testing.assert_array_equal(data_map(clouds, examples(labels)).points, found.points)


def test_equal_clips_are_like_each_other_and_not_like_themselves(clouds):
    values = clouds.copy()
    values[4] = values[3] = values[2]
    found = data_map(values, examples(["dub"] * 10 + ["ska"] * 20))
    assert found.alike == (("dub/2.wav", "dub/3.wav"), ("dub/2.wav", "dub/4.wav"), ("dub/3.wav", "dub/4.wav"))
    each_twice = np.concatenate([clouds[10:15], clouds[10:15] + 0.01])
    found = data_map(each_twice, examples(["dub"] * 5 + ["ska"] * 5))
    assert found.alike == tuple((f"dub/{n}.wav", f"ska/{n + 5}.wav") for n in range(5))


def test_a_map_needs_clips(clouds):
    with pytest.raises(DataError, match="6 clips in 2 genres"):
        data_map(clouds[:4], examples(["a", "a", "b", "b"]))
    with pytest.raises(DataError, match="6 clips in 2 genres"):
        data_map(clouds, examples(["a"] * 30))
    with pytest.raises(DataError, match="clips that differ"):
        data_map(np.zeros((8, 20)), examples(["a", "b"] * 4))


def test_a_wrong_label_is_doubted_and_the_page_offers_to_move_the_clip(make_checkpoint, tmp_path):
    folder = fill(tmp_path / "music", 4)
    (folder / "low" / "low3.wav").rename(folder / "high" / "<b>wrong.wav")
    found, _ = folder_examples(folder)
    taught = teach(found, make_checkpoint(), threads=2)
    mapped = data_map(embedding_values(taught.embeddings), taught.examples, taught)
    doubtful = mapped.doubtful[0]
    assert (doubtful.name, doubtful.genre, doubtful.answer) == ("high/<b>wrong.wav", "high", "low")
    html = card(mapped, {name: name for name in mapped.names})
    assert html.count('class="clip"') == 12
    assert 'data-move="high/&lt;b&gt;wrong.wav" data-genre="low"' in html
    assert "<b>wrong" not in html


def test_the_summary_features_are_a_row_for_each_file(tmp_path):
    folder = fill(tmp_path, 2, ("low", "high"))
    values = feature_values(sorted(folder.rglob("*.wav")))
    assert values.shape == (4, len(SUMMARY_NAMES)) == (4, 58)
    np.testing.assert_allclose(values.mean(axis=0), 0, atol=1e-9)
    centroid = values[:, SUMMARY_NAMES.index("spectral_centroid_mean")]
    assert centroid[:2].min() > centroid[2:].max(), "high chords lie above low ones"


def test_the_command_prints_the_map(make_checkpoint, tmp_path):
    fill(tmp_path / "music", 3, ("low", "high"))
    save_checkpoint(make_checkpoint(), tmp_path / "base.safetensors")

    def call(*arguments: str) -> tuple[int, str]:
        words = ["map", *arguments, "--checkpoint", str(tmp_path / "base.safetensors"), "--cache", str(tmp_path / "cache")]
        result = CliRunner().invoke(build(), words)
        return result.exit_code, result.output

    code, text = call(str(tmp_path / "music"), "--format", "json")
    assert code == 0
    assert {clip["genre"] for clip in json.loads(text)["clips"]} == {"low", "high"}
    code, text = call(str(tmp_path / "music"))
    assert "6 clips, 2 genres" in text
    assert call(str(tmp_path / "nothing"))[0] == 2
    shutil.rmtree(tmp_path / "cache")
    (tmp_path / "cache").write_text("not a folder")
    code, text = call(str(tmp_path / "music"))
    assert (code, "cannot be written" in text) == (2, True)
