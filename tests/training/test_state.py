"""Training state: saved, loaded, resumed by several processes, and begun from a checkpoint."""

from __future__ import annotations

import itertools
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
import torch

from genre_app.checkpoint import Checkpoint, Member
from genre_app.errors import DataError
from genre_app.models import GenreModel, create_model
from genre_app.progress import Monitor, StoppedError
from genre_app.runs.executor import work
from genre_app.runs.request import Request
from genre_app.runs.run import Run
from genre_app.training import fit
from genre_app.training.state import TrainState
from tests.training.processes import OneOfTwo
from tests.two_beats import CONFIG, CPU, SPEC, datasets


def weights(result):
    return torch.cat([value.float().flatten() for value in result.model.state_dict().values()])


@pytest.mark.parametrize("optimiser", ["adamw", "adam", "sgd", "rmsprop"])
def test_a_state_that_was_put_down_goes_on_to_the_bit(cache, tmp_path, optimiser):
    config = CONFIG.model_copy(update={"epochs": 4, "optimiser": optimiser, "learning_rate": 0.003, "keep": "last"})
    train, valid = datasets(cache)
    whole = list(fit(config, train, valid, device=CPU))
    for after in (1, 3, 5, 6, 13):  # looks at whether to stop: after a step or within a validation; an epoch has 5 steps
        state = TrainState.begin(config, train, CPU)
        counted = itertools.count(1)
        with suppress(StoppedError):
            for _ in fit(
                config,
                train,
                valid,
                device=CPU,
                state=state,
                monitor=Monitor(should_stop=lambda of=counted, n=after: next(of) == n),
            ):
                pass
        state.save(tmp_path / "state", "music")
        taken_up = TrainState.begin(config, train, CPU)
        taken_up.load(tmp_path / "state", "music")
        rest = list(fit(config, train, valid, device=CPU, state=taken_up))
        assert torch.equal(weights(rest[-1]), weights(whole[-1]))
        assert rest[-1].train_loss == whole[-1].train_loss
        assert (rest[-1].valid_log_loss, rest[-1].confusion) == (whole[-1].valid_log_loss, whole[-1].confusion)


def test_several_processes_stop_though_their_epochs_are_short_and_go_on_alike(cache, tmp_path):
    config = CONFIG.model_copy(update={"epochs": 6, "keep": "last"})
    train, valid = datasets(cache)  # an epoch has 5 steps
    whole = list(fit(config, train, valid, device=CPU, processes=OneOfTwo()))
    state = TrainState.begin(config, train, CPU)
    with pytest.raises(StoppedError):
        list(
            fit(
                config,
                train,
                valid,
                device=CPU,
                state=state,
                processes=OneOfTwo(),
                monitor=Monitor(should_stop=lambda: True),
            )
        )
    assert (state.progress.epoch, state.progress.step) == (1, 5)
    state.changes.manual_seed(99)  # what is saved are the generators of the first process
    state.save(tmp_path / "state", "music")
    taken_up = TrainState.begin(config, train, CPU)
    taken_up.load(tmp_path / "state", "music")
    rest = list(fit(config, train, valid, device=CPU, state=taken_up, processes=OneOfTwo()))
    assert torch.equal(weights(rest[-1]), weights(whole[-1]))
    first = list(fit(config, train, valid, device=CPU))
    assert not torch.equal(weights(first[-1]), weights(whole[-1]))


def test_a_run_that_goes_on_tries_no_failed_file_again(tmp_path, monkeypatch):
    """Its tracks would be others, and it would be refused."""
    asked = []

    def open_data(*_, retry, **__):
        asked.append(retry)
        raise StoppedError("stopped")

    monkeypatch.setattr("genre_app.data.labelled.open_data", open_data)
    run = Run.create(tmp_path / "run", Request(recipe="default", data="music"))
    assert not work(run)
    run.state.touch()
    assert not work(run)
    assert asked == [True, False]


def test_a_damaged_or_foreign_state_is_refused_in_a_sentence(cache, tmp_path):
    train, _ = datasets(cache)
    state = TrainState.begin(CONFIG, train, CPU)
    state.save(tmp_path / "state", "music")
    data = (tmp_path / "state").read_bytes()
    other = TrainState.begin(CONFIG.model_copy(update={"model_settings": {"channels": [4], "pools": [[4, 2]]}}), train, CPU)
    for content in (data[: len(data) // 2], b"", b"rubbish" * 10, data):
        (tmp_path / "state").write_bytes(content)
        with pytest.raises(DataError, match=r"state is damaged or belongs to other settings|cannot be read"):
            other.load(tmp_path / "state", "music")
    with pytest.raises(DataError, match="state cannot be read: No such file"):
        other.load(tmp_path / "nothing" / "state", "music")


def test_one_flipped_bit_is_noticed_and_the_state_before_is_used(cache, tmp_path):
    train, _ = datasets(cache)
    path = tmp_path / "last.state"
    state = TrainState.begin(CONFIG, train, CPU)
    state.save(path, "music")
    state.progress.epoch = 1
    state.save(path, "music")
    whole = path.read_bytes()
    for place in np.linspace(8, len(whole) - 1, 60).astype(int):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        with pytest.raises(DataError):
            TrainState.begin(CONFIG, train, CPU).load(path, "music")
    warnings = []
    resumed = TrainState.resume(CONFIG, train, CPU, path, "music", warnings.append)
    assert resumed.progress.epoch == 0
    assert str(tmp_path) not in Path("/proc/self/maps").read_text()  # Windows replaces no mapped file
    (warning,) = warnings
    assert warning.startswith("last.state is damaged")
    path.write_bytes(whole)
    assert TrainState.resume(CONFIG, train, CPU, path, "music", warnings.append).progress.epoch == 1
    assert len(warnings) == 1
    (tmp_path / "last.state.previous").unlink()
    path.write_bytes(whole[:-1])
    with pytest.raises(DataError, match="start a new one"):
        TrainState.resume(CONFIG, train, CPU, path, "music")


def test_learning_from_a_checkpoint_takes_its_weights_and_freezes_its_convolutions(cache):
    train, valid = datasets(cache)
    model = [result.model for result in fit(CONFIG, train, valid, device=CPU) if result.model is not None][-1]
    known = Checkpoint.single(model, SPEC, ("four", "six"), name="known")
    state = TrainState.begin(CONFIG, train, CPU, init=known)
    assert torch.equal(state.model.members[0].head.weight, model.members[0].head.weight)
    renamed = Checkpoint.single(model, SPEC, ("four", "seven"), name="known")
    frozen = CONFIG.model_copy(update={"freeze": "convolutions", "epochs": 2, "keep": "last"})
    state = TrainState.begin(frozen, train, CPU, init=renamed)
    assert not torch.equal(state.model.members[0].head.weight, model.members[0].head.weight)
    results = list(fit(frozen, train, valid, device=CPU, state=state))
    for name, value in results[-1].model.members[0].blocks.state_dict().items():
        torch.testing.assert_close(value, model.members[0].blocks.state_dict()[name], msg=name)
    other = CONFIG.model_copy(update={"model": "mlp", "model_settings": {}})
    with pytest.raises(DataError, match="checkpoint known holds a cnn on 32 bins of log_mel, this run trains a mlp"):
        TrainState.begin(other, train, CPU, init=known)


def test_training_without_validation_tracks_gives_the_weights_of_training_with_them(cache):
    """Validation draws no random number of the training."""
    train, valid = datasets(cache)
    config = CONFIG.model_copy(update={"epochs": 3, "keep": "last", "validate_every": 2})
    refit = list(fit(config, train, None, device=CPU))
    assert torch.equal(weights(refit[-1]), weights(list(fit(config, train, valid, device=CPU))[-1]))
    assert [result.model is not None for result in refit] == [False, True, True]
    assert {result.valid_log_loss for result in refit} == {result.confusion for result in refit} == {None}
    with pytest.raises(DataError, match="There are no validation tracks, so no epoch is known to be the best; set keep=last"):
        list(fit(config.model_copy(update={"keep": "best"}), train, None, device=CPU))


def test_the_standardisation_is_not_computed_again_when_a_run_is_resumed(cache, tmp_path, monkeypatch):
    train, _ = datasets(cache)
    TrainState.begin(CONFIG, train, CPU).save(tmp_path / "state", "music")
    monkeypatch.setattr(GenreModel, "fit_standardisation", lambda *_: pytest.fail("computed again"))
    resumed = TrainState.resume(CONFIG, train, CPU, tmp_path / "state", "music")
    assert resumed.model.bin_mean.abs().sum() > 0


def test_a_network_that_cannot_be_built_is_refused_in_a_sentence(cache):
    config = CONFIG.model_copy(update={"model_settings": {"depth": 3}})
    with pytest.raises(DataError, match="The network cnn cannot be built for these data: "):
        TrainState.begin(config, datasets(cache)[0], CPU)


def test_training_begins_with_the_one_network_of_a_checkpoint_that_fits(cache):
    train, _ = datasets(cache)
    model = TrainState.begin(CONFIG, train, CPU).model
    other = create_model("mlp", n_bins=32, n_frames=model.n_frames, n_genres=2)
    both = Checkpoint((Member(other, SPEC), Member(model, SPEC)), ("four", "six"), name="both")
    changed = CONFIG.model_copy(update={"seed": CONFIG.seed + 1})
    assert torch.equal(
        TrainState.begin(changed, train, CPU, init=both).model.members[0].head.weight, model.members[0].head.weight
    )
    twice = Checkpoint((Member(model, SPEC), Member(model, SPEC)), ("four", "six"), name="twice")
    with pytest.raises(DataError, match="choose a checkpoint with one network that fits"):
        TrainState.begin(CONFIG, train, CPU, init=twice)
