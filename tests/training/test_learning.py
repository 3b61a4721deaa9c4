"""From a folder of audio to a checkpoint that knows its genres, for each of our networks."""

from __future__ import annotations

import pytest
import soundfile

from genre_app import classify, load_checkpoint, load_clip
from genre_app.audio.synth import music
from genre_app.runs import executor as job
from genre_app.runs.request import Request
from genre_app.runs.run import Run

STYLES = ("disco", "metal")
N_TRACKS = 20  # a style; the last ones are for validation
# The committee of the default recipe with fewer channels and one view, pooled to 4 frames at once: its own networks took 22 s
# of CPU, these take 3 s with 64 mel bands.
_CNN = '{model="cnn", settings={views=["contrast"], channels=[8, 16, 32], pools=[[4, 4], [4, 2], [4, 2]]}}'
_LSTM = '{model="lstm", settings={views=["contrast"], channels=[8, 16, 32], pools=[[4, 4], [4, 1], [4, 1]], units=[16]}}'
SMALL_NETWORKS = f"[{_CNN}, {_LSTM}]"


@pytest.fixture(scope="module")
def songs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("songs")
    for style in STYLES:
        (folder / style).mkdir()
        for seed in range(N_TRACKS):
            soundfile.write(folder / style / f"{seed:02}.wav", 0.5 * music(style, 4.0, 22050, seed), 22050, subtype="PCM_16")
    return folder


@pytest.mark.slow
@pytest.mark.parametrize(
    ("recipe", "settings"),
    [
        ("default", [f"model_settings.networks={SMALL_NETWORKS}", "epochs=12"]),
        ("cnn", ['model_settings.views=["contrast"]', "epochs=12"]),
        ("lstm", ['model_settings.views=["contrast"]', "epochs=8"]),
        ("mlp", ["epochs=8"]),
    ],
)
def test_each_network_learns_two_genres_from_audio(songs, recipe, settings, tmp_path, monkeypatch):
    monkeypatch.setenv("GENRE_APP_RUNS", str(songs.parent / "runs"))  # one mel cache for all
    monkeypatch.setenv("GENRE_APP_LOCKS", str(tmp_path / "locks"))
    small = [
        "spec.n_mels=64",
        "spec.segment_seconds=3.0",
        "spec.segment_hop_seconds=1.5",
        "batch_size=28",
        "segments_per_track=2",
        "warmup=0.2",
    ]
    smooth = ["average_decay=0.8", "split.valid=0.3", "validate_every=4", "precision=float32"]
    request = Request(recipe=recipe, data=str(songs), settings=(*settings, *small, *smooth), threads=1)
    run = Run.create(tmp_path / recipe, request)
    assert job.work(run, say=lambda _: None)
    report = run.report()["valid"]
    assert report["n_tracks"] == 12
    assert report["accuracy"] > 0.95
    checkpoint = load_checkpoint(run.best)
    assert checkpoint.genres == STYLES
    for style in STYLES:
        soundfile.write(tmp_path / "new.flac", 0.3 * music(style, 6.0, 44100, 1000), 44100)  # a track it has never heard
        prediction = classify(load_clip(tmp_path / "new.flac", sample_rate=checkpoint.sample_rate), checkpoint)
        assert prediction.genre == style
