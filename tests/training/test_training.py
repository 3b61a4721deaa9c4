"""The training loop, on a synthesised mel cache."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from genre_app.augment.config import AugmentConfig
from genre_app.data.dataset import MelDataset
from genre_app.errors import DataError
from genre_app.features import finish
from genre_app.models.cnn import CNN
from genre_app.training import steps, validation
from genre_app.training.fit import fit
from genre_app.training.state import TrainState
from genre_app.training.steps import draw_order, steps_per_epoch
from tests.training.processes import OneOfTwo
from tests.two_beats import CONFIG, CPU, SPEC, datasets, run_all


def weights(result):
    return torch.cat([value.float().flatten() for value in result.model.state_dict().values()])


def test_it_learns_two_genres(cache):
    results = list(fit(CONFIG.model_copy(update={"epochs": 25}), *datasets(cache), device=CPU))
    best = [result for result in results if result.model is not None][-1]
    assert best.valid_accuracy > 0.95
    assert best.valid_log_loss == min(r.valid_log_loss for r in results if r.valid_log_loss is not None)
    assert results[-1].train_loss < results[0].train_loss


def test_the_same_seed_gives_the_same_weights_to_the_bit(cache):
    first, again, other = run_all(cache), run_all(cache), run_all(cache, seed=1)
    assert torch.equal(weights(first[-1]), weights(again[-1]))
    assert [r.train_loss for r in first] == [r.train_loss for r in again]
    assert not torch.equal(weights(first[-1]), weights(other[-1]))


def test_training_leaves_the_callers_random_numbers_alone(cache):
    torch.manual_seed(3)
    expected = torch.rand(3)
    torch.manual_seed(3)
    steps = fit(CONFIG, *datasets(cache), device=CPU)
    next(steps)
    assert torch.equal(torch.rand(3), expected)


def test_epochs_are_validated_when_asked(cache):
    results = run_all(cache, epochs=5)
    assert [r.epoch for r in results] == [1, 2, 3, 4, 5]
    assert [r.valid_accuracy is not None for r in results] == [False, True, False, True, True]
    assert [r.model is not None for r in results] == [False, True, False, True, True]  # where the last one is kept, each


def test_the_learning_rate_rises_then_falls(cache):
    rates = [r.learning_rate for r in run_all(cache, epochs=8, warmup=0.25)]
    assert rates[1] == pytest.approx(CONFIG.learning_rate, rel=0.1)
    assert rates[0] < rates[1] > rates[3] > rates[5] > rates[7]
    assert rates[7] < 0.05 * CONFIG.learning_rate


def test_standardisation_comes_from_the_training_tracks(cache):
    train, valid = datasets(cache)
    (result,) = fit(CONFIG.model_copy(update={"epochs": 1}), train, valid, device=CPU)
    prepared = result.model.prepare(train.segments()[0])
    torch.testing.assert_close(result.model.bin_mean, prepared.mean(dim=(0, 2)))
    torch.testing.assert_close(result.model.bin_std, prepared.std(dim=(0, 2)))


def test_a_track_on_both_sides_is_refused(cache):
    with pytest.raises(DataError, match=r"1 tracks are in both training and validation, t27"):
        next(fit(CONFIG, *datasets(cache, valid_from=27), device=CPU))


@pytest.mark.parametrize("count", [30, 64, 101])
def test_genres_and_tracks_are_drawn_evenly(count):
    labels = torch.tensor([0] * 20 + [1] * 5 + [2] * 2)
    order = draw_order(labels, 3, count, torch.Generator().manual_seed(0))
    assert len(order) == count
    genres = torch.bincount(labels[order], minlength=3)
    assert genres.max() - genres.min() <= 1
    for genre in range(3):
        drawn = torch.bincount(order, minlength=27)[labels == genre]
        assert drawn.max() - drawn.min() <= 1
    assert not torch.equal(order, order.sort().values)
    assert not torch.equal(order, draw_order(labels, 3, count, torch.Generator().manual_seed(1)))


def test_bfloat16_learns_too(cache):
    results = run_all(cache, epochs=25, precision="bfloat16")
    assert results[-1].valid_accuracy > 0.9
    assert results[-1].model.members[0].head.weight.dtype == torch.float32


@pytest.mark.parametrize(("in_hardware", "precision"), [(True, "bfloat16"), (False, "float32")])
def test_auto_is_bfloat16_only_in_hardware(cache, monkeypatch, in_hardware, precision):
    monkeypatch.setattr(steps, "has_bfloat16", lambda device: in_hardware)
    (auto,), (stated,) = (run_all(cache, epochs=1, precision=name) for name in ("auto", precision))
    assert auto.train_loss == stated.train_loss
    (other,) = run_all(cache, epochs=1, precision="float32" if in_hardware else "bfloat16")
    assert auto.train_loss != other.train_loss


def test_out_of_memory_halves_the_parts_and_goes_on(cache, monkeypatch):
    largest, sizes, warnings = 5, [], []
    whole = CNN.training_logits

    def small_device(model, features):
        if model.training:
            sizes.append(len(features))
            if len(features) > largest:
                raise torch.OutOfMemoryError("out of memory")
        return whole(model, features)

    monkeypatch.setattr(CNN, "training_logits", small_device)
    results = list(fit(CONFIG, *datasets(cache), device=CPU, on_warning=warnings.append))
    assert sizes[:4] == [16, 8, 4, 4]
    assert max(sizes[2:]) == 4
    assert len(warnings) == 2
    assert "2 parts" in warnings[0]
    assert "4 parts" in warnings[1]
    assert results[-1].train_loss < results[0].train_loss
    largest = 1
    with pytest.raises(torch.OutOfMemoryError):
        list(fit(CONFIG, *datasets(cache), device=CPU))


def test_parts_of_a_batch_have_the_gradient_of_the_whole(cache):
    train, valid = datasets(cache)
    plain = CONFIG.model_copy(
        update={"epochs": 1, "optimiser": "sgd", "model": "mlp", "model_settings": {}, "augment": AugmentConfig()}
    )
    gradients = []
    for pieces in (1, 4):
        state = TrainState.begin(plain, train, CPU)
        state.progress.pieces = pieces
        (result,) = fit(plain, train, valid, device=CPU, state=state)
        gradients.append(weights(result))
    torch.testing.assert_close(gradients[0], gradients[1], rtol=1e-4, atol=1e-6)


def test_the_grid_shows_each_segment_once_an_epoch(cache):
    train, valid = datasets(cache)
    config = CONFIG.model_copy(update={"sampling": "grid", "epochs": 1, "batch_size": 10})
    state, seen = TrainState.begin(config, train, CPU), []
    for _ in fit(config, train, valid, device=CPU, state=state, on_step=lambda _: seen.append(state.order.clone())):
        pass
    tracks, starts = train.grid()
    assert len(tracks) == len(train.segments()[0])
    assert sorted(seen[-1].tolist()) == list(range(len(tracks)))
    cut = train.cut(tracks, starts, torch.ones(len(tracks)))
    torch.testing.assert_close(finish(cut, SPEC), train.segments()[0])


def test_a_short_track_is_repeated_as_it_is_for_prediction(cache):
    (track, *_) = cache.tracks
    short = MelDataset.from_cache(cache, [track.model_copy(update={"n_frames": 9})], ["four", "six"], SPEC, CPU)
    tracks, starts = short.grid()
    cut = short.cut(tracks, starts, torch.ones(1))
    torch.testing.assert_close(finish(cut, SPEC), short.segments()[0])


def test_training_ends_early_where_patience_does(cache):
    results = run_all(cache, epochs=60, validate_every=1, patience=3, keep="best", learning_rate=0.03)
    kept = [result.epoch for result in results if result.model is not None]
    assert len(results) < 60
    assert results[-1].epoch == kept[-1] + 3


def test_half_of_the_segments_come_from_the_pool(cache):
    train, valid = datasets(cache)

    class Pool:
        asked, begun = [], []

        def collect(self, epoch, monitor):
            self.asked.append(epoch)
            return [np.full((90, 32), 1000.0 + epoch, np.float16)] * len(train)

        def begin(self, epoch):
            self.begun.append(epoch)

    seen = []

    class Watching(CNN):
        def training_logits(self, features):
            if self.training:
                seen.extend((features.amax(dim=(1, 2)) > 500).tolist())
            return super().training_logits(features)

    config = CONFIG.model_copy(update={"augment": AugmentConfig(), "epochs": 4})
    state = TrainState.begin(config, train, CPU)
    state.model.__class__ = Watching
    list(fit(config, train, valid, device=CPU, state=state, pool=Pool()))
    assert Pool.asked == [1, 2, 3, 4]
    assert Pool.begun == [2, 3, 4]  # while the epoch before is learnt from
    assert 0.4 < np.mean(seen) < 0.6


def test_scaling_apart_gives_the_validation_tracks_their_own_mean(cache):
    train, valid = datasets(cache)
    model = TrainState.begin(CONFIG.model_copy(update={"model": "mlp", "model_settings": {}}), train, CPU).model
    scaled, _ = validation.validation_features(CONFIG.model_copy(update={"scaler": "apart"}), model, valid)
    standardised = (scaled - model.bin_mean[:, None]) / model.bin_std[:, None]
    torch.testing.assert_close(standardised.mean(dim=(0, 2)), torch.zeros(32), atol=1e-4, rtol=0)
    torch.testing.assert_close(standardised.std(dim=(0, 2)), torch.ones(32), atol=1e-3, rtol=0)
    plain, _ = validation.validation_features(CONFIG, model, valid)
    assert torch.equal(plain, valid.segments()[0])


def test_no_process_gets_a_batch_of_one(cache):
    train, valid = datasets(cache)
    n_segments = len(train.grid()[0])
    config = CONFIG.model_copy(update={"sampling": "grid", "epochs": 1, "batch_size": n_segments - 2})  # 2 are left over
    assert steps_per_epoch(config, len(train), n_segments) == 2
    assert steps_per_epoch(config, len(train), n_segments, n_processes=2) == 1
    sizes = []

    class Watching(CNN):
        def training_logits(self, features):
            sizes.append(len(features))
            return super().training_logits(features)

    for rank in (0, 1):
        state = TrainState.begin(config, train, CPU)
        state.model.__class__ = Watching
        list(fit(config, train, valid, device=CPU, state=state, processes=OneOfTwo(rank=rank)))
    assert min(sizes) >= 2
    with pytest.raises(DataError, match="A batch holds 3 segments, too few for 2 processes"):
        next(fit(config.model_copy(update={"batch_size": 3}), train, valid, device=CPU, processes=OneOfTwo()))


def test_no_part_of_a_batch_holds_one_segment(cache):
    train, valid = datasets(cache)
    config = CONFIG.model_copy(update={"sampling": "grid", "epochs": 1, "batch_size": 10})
    sizes = []

    class Watching(CNN):
        def training_logits(self, features):
            sizes.append(len(features))
            return super().training_logits(features)

    state = TrainState.begin(config, train, CPU)
    state.model.__class__ = Watching
    state.progress.pieces = 4  # torch.chunk would make 3, 3, 3 and 1
    list(fit(config, train, valid, device=CPU, state=state))
    assert min(sizes) >= 2
    assert sum(sizes) == len(train.grid()[0])
