"""The soak commands that load a served page or kill its jobs, for a moment."""

from __future__ import annotations

import os
from types import SimpleNamespace

import psutil
import pytest

from tests.soak import kills, requests, visitors
from tests.soak.jobs import JOBS, Job
from tests.soak.server import Server


def test_visitors_at_once_get_their_own_answers(address, checkpoint, tmp_path):
    chosen = visitors.songs(tmp_path, 3, 0, checkpoint, seconds=3.0)
    found = visitors.burst(address, chosen)
    assert [answer.wrong for answer in found] == [""] * 3
    mixed_up = visitors.visit(address, chosen[0]._replace(answer=chosen[1].answer))
    assert "song-000.wav: the answer to" in mixed_up.wrong


def test_requests_of_a_program_and_of_the_page(address, tmp_path):
    server = Server(address, psutil.Process(os.getpid()), tmp_path)
    found = requests.soak(server, 2, 60.0, seed=0, checkpoint="default")
    assert found.n == 2
    assert found.wrong == []


def test_a_killed_job_that_does_not_open_again_is_told(monkeypatch):
    process = SimpleNamespace(join=lambda _=None: None, kill=lambda: None, exitcode=0)
    monkeypatch.setattr(kills, "_begin", lambda name, job: process)
    monkeypatch.setattr(kills, "JOBS", {"sound": Job, "broken": _Broken})
    found = kills.soak(2, 5.0, 0, ("sound", "broken"))
    assert found.wrong == ["seed 0 kill 1 of broken: ValueError('damaged')", "broken after its kills: ValueError('damaged')"]
    assert found.left == ["x.tmp"]


@pytest.mark.parametrize("job", ["preparing", "collecting"])
def test_a_job_that_is_done_can_be_checked(job, tmp_path):
    done = JOBS[job](tmp_path, 0)
    done.lay_out()
    done.work()
    done.check()
    assert done.result()


class _Broken(Job):
    def lay_out(self) -> None:
        (self.folder / "x.tmp").touch()

    def check(self) -> None:
        raise ValueError("damaged")
