"""On a GPU several batches are made at once; here, the same on a CPU."""

from __future__ import annotations

import itertools

import pytest
import torch

from genre_app.progress import Monitor, StoppedError
from genre_app.training import steps
from genre_app.training.fit import fit
from genre_app.training.processes import ONE_PROCESS
from genre_app.training.state import TrainState
from tests.two_beats import CONFIG, CPU, datasets


@pytest.fixture
def _three_at_once(monkeypatch):
    create = steps.Steps.__init__

    def create_with_groups(self, *arguments):
        create(self, *arguments)
        self.n_at_once = 3

    monkeypatch.setattr(steps.Steps, "__init__", create_with_groups)


@pytest.mark.usefixtures("_three_at_once")
@pytest.mark.parametrize("n_steps", [1, 2, 3, 4])
def test_a_run_that_stops_within_a_group_continues_with_the_same_batches(cache, tmp_path, n_steps):
    config = CONFIG.model_copy(update={"epochs": 2})
    train, valid = datasets(cache)
    whole = TrainState.begin(config, train, CPU)
    list(fit(config, train, valid, device=CPU, state=whole))

    stopped = TrainState.begin(config, train, CPU)
    counter = itertools.count(1)
    monitor = Monitor(should_stop=lambda: next(counter) > n_steps)
    with pytest.raises(StoppedError):
        list(fit(config, train, valid, device=CPU, state=stopped, monitor=monitor))
    assert stopped.progress.step > 0
    stopped.save(tmp_path / "last.state", "data")

    resumed = TrainState.resume(config, train, CPU, tmp_path / "last.state", "data")
    list(fit(config, train, valid, device=CPU, state=resumed))
    for key, value in whole.model.state_dict().items():
        assert torch.equal(value, resumed.model.state_dict()[key]), key


def test_each_batch_gets_its_share_of_the_chains(cache, monkeypatch):
    config = CONFIG
    train, _ = datasets(cache)
    state = TrainState.begin(config, train, CPU)
    loop = steps.Steps(config, state, train, ONE_PROCESS, lambda _: None)
    loop.n_at_once = loop.count
    monkeypatch.setattr(steps, "augment", mark_the_first_half)
    loop.begin_epoch()
    for step in range(loop.count):
        state.progress.step = step
        db, targets = loop._next_batch(train)
        assert len(db) == len(targets) == config.batch_size
        assert (db == 1.0).flatten(1).all(1).sum() == config.batch_size // 2


def mark_the_first_half(db, targets, *_):
    marked = torch.zeros_like(db)
    marked[: len(db) // 2] = 1.0
    return marked, targets
