"""The check of the data runs in a process of its own."""

import subprocess
import sys
import time

import pytest

from genre_app import child
from genre_app.errors import RunError
from genre_app.progress import Progress
from genre_app.runs import check
from genre_app.runs.plan import Plan
from genre_app.runs.request import Request


@pytest.fixture
def processes(monkeypatch):
    """The processes that are started."""
    started, start = [], child.start

    def noted(*arguments, **options):
        started.append(start(*arguments, **options))
        return started[-1]

    monkeypatch.setattr(child, "start", noted)
    return started


def test_the_plan_is_that_of_this_process(cache, recipe):
    request = Request(recipe=str(recipe), data=str(cache), columns="data", settings={"epochs": 3}, threads=1)
    *reports, plan = check.check(request, measure=False)
    assert {type(report) for report in reports} == {Progress}
    assert isinstance(plan, Plan)
    assert plan == check.look(request, [reports[0]], measure=False)
    assert plan.segments["train"] > 0
    assert plan.of(request) == plan


def test_data_that_cannot_be_used_are_one_sentence(recipe):
    with pytest.raises(RunError, match="/nowhere"):
        list(check.check(Request(recipe=str(recipe), data="/nowhere"), measure=False))


def test_closing_ends_the_process(cache, recipe, processes):
    looking = check.check(Request(recipe=str(recipe), data=str(cache)))
    next(looking)
    began = time.monotonic()
    looking.close()
    assert time.monotonic() - began < 1.0
    (process,) = processes
    assert process.wait(timeout=20) < 0


def test_the_process_ends_if_the_server_does(recipe):
    endless = "import time; from genre_app.runs import check; check.look = lambda *_, **__: time.sleep(600); check.main()"
    request = Request(recipe=str(recipe), data="/music").model_dump_json()
    with subprocess.Popen([sys.executable, "-c", endless, request], stdout=subprocess.PIPE) as process:
        try:
            assert b"looking at the data" in process.stdout.readline()
            process.stdout.close()
            assert process.wait(timeout=20) != 0
        finally:
            process.kill()


def test_a_crash_is_one_sentence(cache, recipe, processes):
    looking = check.check(Request(recipe=str(recipe), data=str(cache)))
    next(looking)
    processes[0].kill()
    with pytest.raises(RunError, match="crashed or ran out of memory"):
        list(looking)
