"""What the tests of runs share."""

from __future__ import annotations

import time

import torch
from safetensors.torch import load_file

from genre_app.runs import executor as job
from genre_app.runs.run import Run


def quiet(_text):
    pass


def weights(run):
    return {key: value for key, value in load_file(run.best).items() if key.startswith("members.")}


def same(one, other):
    return one.keys() == other.keys() and all(torch.equal(one[key], other[key]) for key in one)


def wait_for(run, condition, seconds=180.0):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, (run.status(), run.journal().events[-3:], run.log_tail())
        time.sleep(0.005)


def work_alone(path):
    """What a process of its own does; it must be found by name, so it is here."""
    torch.set_num_threads(1)
    job.prepare_process = lambda threads: None
    job.work(Run(path), say=quiet)


def work_search_alone(path):
    """What a process of its own does for a search."""
    from genre_app.runs.search.loop import run_search
    from genre_app.runs.search.search import SearchFolder

    torch.set_num_threads(1)
    job.prepare_process = lambda threads: None
    run_search(SearchFolder(path), say=quiet)
