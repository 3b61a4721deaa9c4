"""The frames of an answer: pages of the table, and the parts of a long clip."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np

from genre_app import predict
from genre_app.ui.classify import frames
from tests.ui.predictions import certain


def test_frames_of_a_long_clip_come_in_pages(checkpoint):
    prediction = certain(checkpoint, np.full((450, 10), 0.1))
    pages = frames.pages(prediction)
    assert [page for _, page in pages] == ["0", "1", "2"]
    numbers = [row[0] for _, page in pages for row in frames.rows(prediction, page)]
    assert numbers == list(range(1, 451))


def test_frames_of_noise_name_no_genre(checkpoint):
    prediction = certain(checkpoint, np.full((3, 10), 0.1))
    assert [row[2] for row in frames.rows(replace(prediction, is_noise=True), "0")] == ["–"] * 3
    assert [row[2] for row in frames.rows(prediction, "0")] == prediction.segment_genres


def medley(checkpoint, genres: list[int], length: int = 60, seed: int = 0) -> predict.Prediction:
    """Stretches of one genre each, ``length`` frames of 3 s; a tenth of the frames says something else."""
    random = np.random.default_rng(seed)
    winners = np.repeat(genres, length)
    stray = random.random(len(winners)) < 0.1
    winners[stray] = random.integers(0, 10, stray.sum())
    rows = np.full((len(winners), 10), 0.02, np.float32)
    rows[np.arange(len(winners)), winners] = 0.82
    spec = checkpoint.spec
    step = round(3.0 * spec.sample_rate / spec.hop_length)
    starts = [index * step for index in range(len(winners))]
    return predict.from_segments(
        checkpoint,
        starts,
        rows,
        spec=spec,
        sounds=np.ones(len(rows), bool),
        name="medley.wav",
        duration_seconds=spec.seconds(starts[-1]) + 3.0,
    )


def test_a_long_clip_is_summed_up_in_parts(checkpoint):
    prediction = medley(checkpoint, [5, 0, 8])
    parts = frames.parts(prediction)
    assert [part.genre for part in parts] == ["jazz", "blues", "reggae"]
    assert parts[0].start == 0
    assert parts[-1].end == prediction.duration_seconds
    assert [part.end for part in parts[:-1]] == [part.start for part in parts[1:]]
    np.testing.assert_allclose([part.end for part in parts[:-1]], [180, 360], atol=15)
    assert all(0.8 * part.n_frames < part.n_agree <= part.n_frames for part in parts)
    assert sum(part.n_frames for part in parts) == 180
    outline = frames.outline(prediction)
    assert outline.count("<li>") == 3
    assert 'data-seconds="0.00"' in outline
    # A short clip has its rows only.
    assert "<li>" not in frames.outline(medley(checkpoint, [5], 20))


def test_silent_stretches_are_parts_of_their_own(checkpoint):
    prediction = medley(checkpoint, [5, 5, 5])
    prediction.segment_sounds[60:120] = False
    assert [part.genre for part in frames.parts(prediction)] == ["jazz", None, "jazz"]
    assert "silent" in frames.outline(prediction)


def test_the_parts_of_unclear_music_are_long_and_differ_from_their_neighbours(checkpoint):
    rows = np.random.default_rng(0).dirichlet(np.ones(10), 3600).astype(np.float32)
    starts = np.linspace(0.0, 3597.0, len(rows))
    prediction = replace(
        certain(checkpoint, rows[:2]),
        segment_starts=starts,
        segment_ends=starts + 3.0,
        segment_probabilities=rows,
        segment_sounds=np.ones(len(rows), bool),
        duration_seconds=3600.0,
    )
    parts = frames.parts(prediction)
    assert len(parts) > 20
    assert min(part.end - part.start for part in parts) >= 20.0
    assert all(one.genre != other.genre for one, other in pairwise(parts))
    assert [part.end for part in parts[:-1]] == [part.start for part in parts[1:]]
    assert (parts[0].start, parts[-1].end, sum(part.n_frames for part in parts)) == (0.0, 3600.0, 3600)
