"""The soak commands that load a served page or kill its jobs, for a moment."""

from __future__ import annotations

import os
from types import SimpleNamespace

import psutil

from tests.soak import kills, requests, visitors
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


def test_kills(tmp_path, monkeypatch):
    assert kills.soak(2, 60.0, 0, ("collecting",)).wrong == []
    monkeypatch.setattr(kills, "JOBS", {"broken": _Broken})
    monkeypatch.setattr(
        kills, "_begin", lambda name, job: SimpleNamespace(join=lambda seconds=None: None, kill=lambda: None, exitcode=0)
    )
    assert "broken after its kills: ValueError('damaged')" in kills.soak(1, 1.0, 0, ("broken",)).wrong


class _Broken(kills.Job):
    def check(self) -> None:
        raise ValueError("damaged")
