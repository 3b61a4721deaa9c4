"""Runs that are killed or paused at any moment go on to the same weights."""

from __future__ import annotations

import random
import signal
import time

from genre_app.runs import executor as job
from genre_app.runs.status import Status
from tests import forked
from tests.runs.beats import quiet, same, wait_for, weights, work_alone


def test_ten_sigkills_at_random_moments_change_no_bit(make_run):
    settings = ("epochs=40", "validate_every=1")
    whole, killed = make_run("whole", *settings), make_run("killed", *settings)
    job.work(whole, say=quiet)
    moments = random.Random(0)
    reached, deaths = set(), 0
    while deaths < 10:
        process = forked.server.Process(target=work_alone, args=(killed.path,))
        process.start()
        lines = len(killed.journal().events) + moments.randint(1, 9)  # from before the data are open to a few epochs later
        wait_for(killed, lambda lines=lines: len(killed.journal().events) >= lines)
        time.sleep(moments.uniform(0.0, 0.05))
        process.kill()
        process.join()
        assert process.exitcode == -signal.SIGKILL, "it ended before it was killed: give it more epochs"
        deaths += 1
        assert killed.status() is Status.died
        reached.add(len(killed.journal().epochs))
    assert len(reached) > 2, "the kills came at the same moment of the run: spread them more"
    assert job.work(killed, say=quiet)
    assert same(weights(killed), weights(whole))
    assert killed.report()["valid"] == whole.report()["valid"]
    numbers = ("epoch", "train_loss", "valid_log_loss", "confusion", "best")
    assert [[getattr(e, n) for n in numbers] for e in killed.journal().epochs] == [
        [getattr(e, n) for n in numbers] for e in whole.journal().epochs
    ]


def test_a_run_is_paused_at_a_deadline_and_goes_on_to_the_same_weights(make_run):
    sliced, whole = make_run("sliced", "epochs=20"), make_run("whole", "epochs=20")
    slices = 1
    while not job.work(sliced, say=quiet, deadline=time.monotonic() + 0.4):
        assert sliced.status() is Status.paused
        slices += 1
    assert slices > 1
    job.work(whole, say=quiet)
    assert same(weights(sliced), weights(whole))
