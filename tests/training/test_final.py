"""What is computed from the finished network: its temperature, and the references of the knn vote."""

from __future__ import annotations

import pytest
import torch

from genre_app.augment.chain import AugmentConfig
from genre_app.checkpoint import Checkpoint
from genre_app.data.cache.mel_cache import MelCache
from genre_app.training import fit
from genre_app.training.final import fit_temperature, report_on, vote_references
from tests.two_beats import CONFIG, CPU, SPEC, datasets, write_cache


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return MelCache.open(write_cache(tmp_path_factory.mktemp("cache")))


@pytest.fixture(scope="module")
def model(cache):
    """A network after one epoch: often right, and not sure."""
    config = CONFIG.model_copy(update={"epochs": 3, "keep": "last"})
    return list(fit(config, *datasets(cache), device=CPU))[-1].model


def log_loss(model, cache, temperature):
    model.temperature.fill_(temperature)
    return report_on(Checkpoint(model, SPEC, ("four", "six")), datasets(cache)[1], CONFIG).log_loss


def test_the_fitted_temperature_has_the_least_log_loss(cache, model):
    _, valid = datasets(cache)
    fitted = fit_temperature(CONFIG, model, valid)
    best = log_loss(model, cache, fitted)
    assert all(best <= log_loss(model, cache, other) + 1e-6 for other in (0.2, 0.5, 0.9 * fitted, 1.1 * fitted, 1.0, 2.0, 5.0))
    model.temperature.fill_(7.0)
    assert fit_temperature(CONFIG, model, valid) == fitted  # whatever it was before


def test_recordings_count_as_much_as_files(cache, model):
    _, valid = datasets(cache)
    hiss = {"recorded_share": 0.5, "recorded": {"noise_probability": 1.0, "noise_snr_db": (-60.0, -60.0)}}
    recorded = CONFIG.model_copy(update={"augment": AugmentConfig(**hiss)})
    # On noise alone the network must be less sure than on files.
    assert fit_temperature(recorded, model, valid) > fit_temperature(CONFIG, model, valid)


def test_references_are_validation_tracks_and_no_track_is_its_own_neighbour(cache, model):
    _, valid = datasets(cache)
    references = vote_references(model, valid)
    assert references.labels.tolist() == valid.labels.tolist()
    assert references.k == 6  # as many as the rarer genre has tracks
    # References whose probabilities say nothing but which track it is: with itself among them, each track would be right.
    references.probabilities[:] = torch.linspace(0.4, 0.6, 12)[:, None].numpy()
    references = type(references)(references.probabilities, references.labels, 1)
    checkpoint = Checkpoint(model, SPEC, ("four", "six"), references=references)
    alone = report_on(checkpoint, valid, CONFIG, leave_one_out=True)
    assert all(len(alone._references_for(place).labels) == 11 for place in range(12))


def test_a_single_validation_track_is_no_reference(cache, model):
    _, valid = datasets(cache)
    one = type(valid).from_cache(cache, [cache.tracks[-1]], ["four", "six"], SPEC, CPU)
    assert vote_references(model, one) is None
