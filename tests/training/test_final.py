"""What is computed from the finished network: its temperature, and the references of the knn vote."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from genre_app.augment.config import AugmentConfig
from genre_app.evaluation.metrics import Report, TrackResult
from genre_app.progress import QUIET
from genre_app.training import fit
from genre_app.training.held_out import HeldOut
from genre_app.training.validation import Validation
from genre_app.vote import References
from tests.two_beats import CONFIG, CPU, SPEC, datasets

HISS = {"recorded_share": 0.5, "recorded": {"coloured_noise_probability": 1.0, "coloured_noise_snr_db": (-60.0, -60.0)}}
RECORDED = CONFIG.model_copy(update={"augment": AugmentConfig(**HISS)})


@pytest.fixture(scope="module")
def model(cache):
    """A network that tells all validation tracks apart, but not their recordings, which are hiss."""
    config = CONFIG.model_copy(update={"epochs": 14, "keep": "last"})
    return list(fit(config, *datasets(cache), device=CPU))[-1].model


def test_the_fitted_temperature_has_the_least_log_loss_over_files_and_recordings(cache, model):
    _, valid = datasets(cache)
    fitted = HeldOut.of(RECORDED, model, valid).temperature()
    assert 1.0 < fitted < 2.5
    validation = Validation(RECORDED, model, valid, QUIET)

    def log_loss(temperature):
        model.temperature.fill_(temperature)
        return sum(scores.log_loss for scores in validation.scores(model, QUIET))

    best = log_loss(fitted)
    assert all(best < log_loss(other) for other in (0.5, 0.9 * fitted, 1.1 * fitted, 3.0))
    assert HeldOut.of(RECORDED, model, valid).temperature() == fitted  # whatever the temperature was before


def test_validation_tracks_that_are_too_easy_do_not_make_the_network_sure_of_everything(cache, model):
    assert HeldOut.of(CONFIG, model, datasets(cache)[1]).temperature() == pytest.approx(0.5, abs=0.01)


def test_references_are_the_validation_tracks(cache, model):
    _, valid = datasets(cache)
    references = HeldOut.of(CONFIG, model, valid).references(1.0)
    assert references.labels.tolist() == valid.labels.tolist()
    assert references.k == 6  # as many as the rarer genre has tracks
    np.testing.assert_allclose(references.probabilities.sum(axis=1), 1.0, atol=1e-5)


def test_predictions_of_two_folds_are_joined_saved_and_read(cache, model, tmp_path):
    train, valid = datasets(cache)
    parts = [HeldOut.of(RECORDED, model, tracks) for tracks in (valid, train)]
    HeldOut.join(parts).save(tmp_path / "folds.npz")
    read = HeldOut.load(tmp_path / "folds.npz")
    assert (read.genres, read.track_ids) == (("four", "six"), (*valid.track_ids, *train.track_ids))
    assert read.labels.tolist() == [*valid.labels.tolist(), *train.labels.tolist()]
    for one, start, part in ((read.files, 0, parts[0].files), (read.recordings, 12, parts[1].recordings)):
        ours = (one.owners >= start) & (one.owners < start + (12 if start == 0 else 28))
        torch.testing.assert_close(one.values[ours].double(), part.values)
        assert torch.equal(one.owners[ours] - start, part.owners)
    report = read.report(0.7)
    assert report.log_loss == pytest.approx((12 * parts[0].report(0.7).log_loss + 28 * parts[1].report(0.7).log_loss) / 40)
    assert HeldOut.of(RECORDED, model, valid, recorded=False).recordings is None


def test_no_track_is_its_own_neighbour():
    shares = np.linspace(0.4, 0.6, 12, dtype=np.float32)
    probabilities = np.stack([shares, 1 - shares], axis=1)
    labels = np.arange(12) % 2  # the neighbours of each track have the other label
    tracks = tuple(TrackResult(f"t{i}", label, probabilities[i : i + 1]) for i, label in enumerate(labels))
    references = References(probabilities, labels, 1)
    assert Report(("four", "six"), tracks, references).by_vote["knn"] == 1.0
    assert Report(("four", "six"), tracks, references, leave_one_out=True).by_vote["knn"] == 0.0


def test_a_single_validation_track_is_no_reference(cache, model):
    _, valid = datasets(cache)
    one = type(valid).from_cache(cache, [cache.tracks[-1]], ["four", "six"], SPEC, CPU)
    assert HeldOut.of(CONFIG, model, one).references(1.0) is None
