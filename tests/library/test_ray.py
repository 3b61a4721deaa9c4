"""The engine of Ray against the local one, on a local cluster of two processes."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest

from genre_app.errors import DataError
from genre_app.library import ray_engine
from genre_app.library.catalogue import PLACE
from genre_app.library.classify import classify_new
from genre_app.library.ray_engine import on_ray
from genre_app.library.scan import scan
from genre_app.progress import Monitor, StoppedError
from tests.library import forks
from tests.library.conftest import opened

ray = pytest.importorskip("ray")
pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("default")]  # Ray has warnings of its own


@pytest.fixture(scope="module", autouse=True)
def _cluster():
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_AUTH_MODE", "disabled")  # else Ray writes a key into the home folder
        patch.setenv("RAY_worker_register_timeout_seconds", "600")  # on a busy machine
        patch.setenv("RAY_worker_niceness", "0")
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        patch.setenv("PYTHONPATH", os.pathsep.join([str(Path(__file__).parents[2]), os.environ.get("PYTHONPATH", "")]))
        ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False)
        yield
        ray.shutdown()


@pytest.fixture
def on_cluster(checkpoint, checkpoint_path):
    """Scan and classify with Ray; return the numbers, and the tracks by path."""

    def call(music, **options):
        with opened(music) as catalogue:
            scan(music, catalogue)
            found = classify_new(music, catalogue, checkpoint, [str(checkpoint_path)], engine=on_ray, **options)
            return found, {track.path: track for track in catalogue.tracks()}

    return call


def rows(tracks) -> dict[str, object]:
    """The rows without times; probabilities with five decimals."""
    plain = {}
    for path, track in tracks.items():
        probabilities = {genre: pytest.approx(p, abs=1e-5) for genre, p in track.answer.probabilities.items()}
        plain[path] = replace(track, answer=replace(track.answer, time="", probabilities=probabilities))
    return plain


def test_ray_fills_the_catalogue_like_the_local_engine_and_resumes(music, update, on_cluster):
    (music / "3.flac").rename(music / os.fsdecode(b"caf\xe9.flac"))
    (music / "bad.mp3").write_text("no music")
    (music / "empty.wav").touch()
    expected = update(music).tracks
    (music / PLACE).unlink()
    seen = []
    with pytest.raises(StoppedError):
        on_cluster(music, processes=2, monitor=Monitor(seen.append, lambda: len(seen) >= 2))
    with opened(music) as catalogue:
        kept = sum(track.answer is not None for track in catalogue.tracks())
    assert 2 <= kept < len(expected)
    found, tracks = on_cluster(music)
    assert found.n_done == len(tracks) - kept
    assert rows(tracks) == rows(expected)
    assert tracks["bad.mp3"].error.startswith("this is not an audio file")
    assert on_cluster(music)[0].n_done == 0


def test_a_file_that_crashes_its_actor_costs_no_other_file(music, update, on_cluster, monkeypatch):
    expected = update(music).tracks
    (music / PLACE).unlink()
    monkeypatch.setattr(ray_engine, "Actor", forks.CrashingActor)
    found, tracks = on_cluster(music)
    assert (found.n_done, found.n_failed) == (4, 1)
    assert "crashed or ran out of memory" in tracks.pop("2.flac").error
    del expected["2.flac"]
    assert rows(tracks) == rows(expected)


def test_a_machine_without_the_folder_is_told_and_fills_no_rows(music, on_cluster, monkeypatch):
    monkeypatch.setattr(ray_engine, "Actor", forks.ActorElsewhere)
    with pytest.raises(DataError, match="mount the folder under this path"):
        on_cluster(music)
    with opened(music) as catalogue:
        assert all(track.answer is None for track in catalogue.tracks())
