"""Transfer learning: a checkpoint with other genres, gradual unfreezing, and a learning rate for each stage."""

from __future__ import annotations

import pytest
import torch

from genre_app.checkpoint import Checkpoint
from genre_app.errors import DataError, RecipeError
from genre_app.models import create_model
from genre_app.models.cnn import CNN
from genre_app.progress import Monitor, StoppedError
from genre_app.runs.request import Request
from genre_app.training import fit
from genre_app.training.stages import frozen
from genre_app.training.state import TrainState
from tests.models.test_models import SMALL
from tests.two_beats import CONFIG, CPU, SPEC, datasets

# Of six epochs, two train the head, two the head and the second block, two everything.
GRADUAL = CONFIG.model_copy(update={"unfreeze": (0.34, 0.67), "keep": "last", "learning_rate": 0.003})


@pytest.fixture(autouse=True)
def _three_stages(monkeypatch):
    def stages(model):
        (member,) = model.members
        return (member.head,), (member.blocks[1],), (member.blocks[0],)

    monkeypatch.setattr(CNN, "stages", stages)


def weights(module):
    return {name: value.clone() for name, value in module.state_dict().items()}


def changed(module, before):
    return {name for name, value in module.state_dict().items() if not torch.equal(value, before[name])}


def test_the_stages_are_unfrozen_one_after_another(cache):
    train, valid = datasets(cache)
    state = TrainState.begin(GRADUAL, train, CPU)
    head, second, first = (stage for (stage,) in state.model.stages())
    begun = [weights(part) for part in (head, second, first)]
    for result in fit(GRADUAL, train, valid, device=CPU, state=state):
        assert changed(head, begun[0])
        assert bool(changed(second, begun[1])) is (result.epoch > 2)  # the statistics of batch norm too
        assert bool(changed(first, begun[2])) is (result.epoch > 4)
        averaged = state.average.stages()[2][0]
        assert bool(changed(averaged, begun[2])) is (result.epoch > 4)


def test_what_is_frozen_has_neither_gradient_nor_weight_decay(cache):
    config = GRADUAL.model_copy(update={"unfreeze": (1.0,), "weight_decay": 0.5, "optimiser": "sgd"})
    train, valid = datasets(cache)
    state = TrainState.begin(config, train, CPU)
    head, second, first = (stage for (stage,) in state.model.stages())
    begun = [weights(second), weights(first)]
    list(fit(config, train, valid, device=CPU, state=state))
    assert [changed(second, begun[0]), changed(first, begun[1])] == [set(), set()]  # one share holds for both
    in_optimiser = {id(p) for group in state.optimiser.param_groups for p in group["params"]}
    assert in_optimiser == {id(p) for p in head.parameters()}
    assert all(p.grad is None for part in (second, first) for p in part.parameters())


def test_each_stage_has_its_learning_rate(cache):
    config = CONFIG.model_copy(update={"stage_rate": 0.3, "epochs": 1, "schedule": "constant", "learning_rate": 0.01})
    train, valid = datasets(cache)
    state = TrainState.begin(config, train, CPU)
    list(fit(config, train, valid, device=CPU, state=state))
    rates = {id(p): group["lr"] for group in state.optimiser.param_groups for p in group["params"]}
    decays = {id(p): group["weight_decay"] for group in state.optimiser.param_groups for p in group["params"]}
    for (stage,), rate in zip(state.model.stages(), (0.01, 0.003, 0.0009), strict=True):
        for parameter in stage.parameters():
            assert rates[id(parameter)] == pytest.approx(rate)
            assert decays[id(parameter)] == (config.weight_decay if parameter.ndim > 1 else 0.0)
    assert len(rates) == len(list(state.model.parameters()))


def test_a_run_that_is_stopped_in_any_stage_resumes_to_the_bit(cache, tmp_path):
    config = GRADUAL.model_copy(update={"stage_rate": 0.5})
    train, valid = datasets(cache)
    whole = weights(list(fit(config, train, valid, device=CPU))[-1].model)
    for stop_after in (3, 10, 12, 23):  # steps; an epoch has 5, so the second stop is between two stages
        state = TrainState.begin(config, train, CPU)
        taken = []
        monitor = Monitor(should_stop=lambda of=taken, n=stop_after: len(of) == n)
        with pytest.raises(StoppedError):
            list(fit(config, train, valid, device=CPU, state=state, on_step=taken.append, monitor=monitor))
        state.save(tmp_path / "state", "music")
        resumed = TrainState.resume(config, train, CPU, tmp_path / "state", "music")
        last = list(fit(config, train, valid, device=CPU, state=resumed))[-1]
        assert changed(last.model, whole) == set()


@pytest.mark.parametrize("name", ["committee", "crnn", "mlp", "resnet18", "stack"])
def test_a_checkpoint_with_other_genres_gives_all_but_the_output_layers(cache, name):
    train, _ = datasets(cache)
    settings = SMALL.get(name, {})
    model = create_model(name, n_bins=32, n_frames=SPEC.input_frames, n_genres=5, settings=settings)
    for buffer in (model.bin_mean, model.bin_std):
        buffer.uniform_(1.0, 2.0)
    config = CONFIG.model_copy(update={"model": name, "model_settings": settings})
    begun = TrainState.begin(config, train, CPU, init=Checkpoint.single(model, SPEC, ("a", "b", "c", "d", "e"))).model
    theirs = model.state_dict()
    other = {key for key, value in begun.state_dict().items() if not torch.equal(value, theirs[key])} - {"temperature"}
    assert other
    assert all(5 in theirs[key].shape and key.endswith(("weight", "bias")) for key in other)


def test_unfreezing_needs_a_checkpoint_and_a_stage_below_the_head(cache):
    request = Request(recipe="cnn", data="music", settings={"unfreeze": [0.25, 0.5]})
    with pytest.raises(RecipeError, match=r"unfreeze keeps layers .* no checkpoint is named; .* or set unfreeze=\[\]$"):
        request.config()
    assert request.model_copy(update={"init_from": "default"}).config().unfreeze == (0.25, 0.5)
    config = GRADUAL.model_copy(update={"model": "mlp", "model_settings": {}})
    with pytest.raises(DataError, match=r"mlp has no stage below its head to freeze; set unfreeze=\[\]"):
        TrainState.begin(config, datasets(cache)[0], CPU)


def test_the_recipe_transfer_fine_tunes_or_freezes_a_pretrained_network():
    config = Request(recipe="transfer", data="music", init_from="pretrained.safetensors").config()
    model = create_model(
        config.model, n_bins=config.spec.n_bins, n_frames=config.spec.input_frames, n_genres=2, settings=config.model_settings
    )
    stages = model.stages()
    assert len(stages) == 1 + len(config.unfreeze)
    first = {epoch: len(frozen(model, config, epoch)) for epoch in (1, 3, 4, 6, 7, config.epochs)}
    back, front = len(stages[1]), len(stages[2])
    assert first == {1: back + front, 3: back + front, 4: front, 6: front, 7: 0, config.epochs: 0}
    kept = config.model_copy(update={"unfreeze": (1.0,)})
    assert len(frozen(model, kept, config.epochs)) == back + front
