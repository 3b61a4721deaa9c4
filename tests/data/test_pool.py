"""The pool of changed tracks: the same for a resumed run, new in each epoch, and an end with one sentence, never a hang."""

from __future__ import annotations

import multiprocessing
import time

import numpy as np
import psutil
import pytest
import soundfile
import torch

from genre_app.audio import load_clip
from genre_app.audio.synth import STYLES, music
from genre_app.augment.config import WaveformConfig
from genre_app.data.pool import WavePool
from genre_app.errors import DataError
from genre_app.features import FeatureSpec, extract
from genre_app.progress import Monitor, StoppedError
from tests import forked

SPEC = FeatureSpec(hop_length=512, segment_seconds=1.0, segment_hop_seconds=1.0)
CONFIG = WaveformConfig(pitch_probability=1.0, white_noise_probability=0.5, refresh_epochs=2)


@pytest.fixture(scope="module")
def paths(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tracks")
    files = [folder / f"{style}.wav" for style in STYLES[:4]]
    for path, style in zip(files, STYLES[:4], strict=True):
        soundfile.write(path, music(style, 2.0), 22050)
    return files


@pytest.fixture(scope="module")
def uninterrupted(paths):
    """What a pool gives in epochs 1 to 5."""
    pool = WavePool(paths, SPEC, CONFIG, seed=3, processes=1)
    pool.begin(1)
    epochs = {}
    for epoch in range(1, 6):
        epochs[epoch] = pool.collect(epoch)
        pool.begin(epoch + 1)
    pool.close()
    return epochs


def workers():
    children = psutil.Process().children(recursive=True)
    return [child for child in children if child.is_running() and any("spawn_main" in word for word in child.cmdline())]


def test_it_gives_columns_of_each_track(uninterrupted, paths):
    for columns in uninterrupted.values():
        assert len(columns) == len(paths)
        assert all(one.dtype == np.float16 and one.shape == (1 + 2 * 22050 // 512, 128) for one in columns)
        assert all(np.isfinite(one).all() and one.max() - one.min() <= 80.1 for one in columns)


def test_a_part_is_changed_anew_in_each_epoch(uninterrupted):
    for epoch in range(2, 6):
        same = [np.array_equal(*pair) for pair in zip(uninterrupted[epoch - 1], uninterrupted[epoch], strict=True)]
        assert same == [(epoch + track) % 2 == 1 for track in range(4)]
    assert not np.array_equal(uninterrupted[1][0], uninterrupted[5][0])


def test_a_resumed_pool_gives_the_same_and_ends_when_a_file_vanishes(uninterrupted, paths, tmp_path, monkeypatch):
    monkeypatch.setattr("genre_app.data.pool.get_context", lambda method: forked.server)  # the other tests spawn processes
    copies = [tmp_path / path.name for path in paths]
    for copy, path in zip(copies, paths, strict=True):
        copy.write_bytes(path.read_bytes())
    pool = WavePool(copies, SPEC, CONFIG, seed=3, processes=2)
    try:
        with pytest.raises(StoppedError):
            pool.collect(4, monitor=Monitor(should_stop=lambda: True))
        for epoch in (4, 5):
            for found, expected in zip(pool.collect(epoch), uninterrupted[epoch], strict=True):
                np.testing.assert_array_equal(found, expected)
        copies[0].unlink()
        with pytest.raises(DataError, match=rf"{copies[0].name}.*\.$") as caught:
            pool.collect(6)
        assert "\n" not in str(caught.value)
    finally:
        pool.close()
        pool.close()
    assert not multiprocessing.active_children()


def test_a_worker_that_dies_ends_in_a_sentence(paths):
    pool = WavePool(paths * 20, SPEC, CONFIG, seed=3, processes=1)
    try:
        began = time.monotonic()
        pool.begin(1)
        assert time.monotonic() - began < 1.0  # it waits for nothing
        deadline = time.monotonic() + 10
        while not workers() and time.monotonic() < deadline:
            time.sleep(0.02)
        for process in workers():
            process.kill()
        with pytest.raises(DataError, match="crashed or ran out of memory"):
            pool.collect(1)
    finally:
        pool.close()
    assert not workers()


def test_without_a_change_the_columns_are_those_of_a_cache(paths):
    from genre_app.data.pool import _changed_columns

    columns = _changed_columns(paths[0], SPEC, WaveformConfig(), 0)
    samples = torch.from_numpy(load_clip(paths[0]).samples)[None]
    expected = extract(samples, SPEC)[0].T.numpy()
    np.testing.assert_allclose(columns, expected, atol=0.05)


def test_what_cannot_work_is_refused_before_a_process_starts(paths, tmp_path):
    config = CONFIG.model_copy(update={"background_probability": 0.5, "background_folder": tmp_path / "none"})
    with pytest.raises(DataError, match=r"none is not a folder.*\.$"):
        WavePool(paths, SPEC, config, seed=0)
    config = CONFIG.model_copy(update={"room_probability": 0.5, "room_folder": tmp_path / "no rooms"})
    with pytest.raises(DataError, match=r"room_folder .*no rooms is not a folder.*\.$"):
        WavePool(paths, SPEC, config, seed=0)
    with pytest.raises(DataError, match="log-mel"):
        WavePool(paths, SPEC.model_copy(update={"kind": "summary"}), CONFIG, seed=0)
    assert not workers()
