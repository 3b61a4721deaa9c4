"""Check the data of a run in a process of its own, which gives its memory back when it ends.

In the server, a dozen checks took 2 GB that were not given back (measured). The process gets a `Request` as JSON and answers
with a line of JSON every `_REPORT_SECONDS`.
"""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import traceback
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass
from functools import cache
from typing import IO, cast

from pydantic import TypeAdapter

from genre_app import child
from genre_app.errors import RunError
from genre_app.progress import Monitor, Progress
from genre_app.runs import failure
from genre_app.runs.data import open_data
from genre_app.runs.host import prepare_process
from genre_app.runs.plan import Plan, plan
from genre_app.runs.request import Request

_REPORT_SECONDS = 0.3


@dataclass(frozen=True)
class Failed:
    """Why the data or the settings cannot be used, in one sentence."""

    sentence: str


@cache
def _messages() -> TypeAdapter[Progress | Plan | Failed]:
    return TypeAdapter(Progress | Plan | Failed)


def check(request: Request, *, measure: bool = True) -> Iterator[Progress | Plan]:
    """Open the data of a request as its run would; yield the progress several times a second, then the plan of the run.

    Closing the iterator ends the process at once; what it has prepared is kept.
    ``measure`` is as in `genre_app.runs.plan.plan`.

    Raises
    ------
    RunError
        If the data or the settings cannot be used, or the process crashes.
    """
    arguments = [request.model_dump_json(), *(["--measure"] if measure else [])]
    process = child.start("genre_app.runs.check", *arguments, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
    answers = cast(IO[bytes], process.stdout)
    try:
        yield Progress("looking at the data", 0, 0, None)
        latest: Progress | Plan | None = None
        for line in answers:
            message = _messages().validate_json(line)
            if isinstance(message, Failed):
                raise RunError(message.sentence)
            yield (latest := message)
        if not isinstance(latest, Plan):
            raise RunError("The check crashed or ran out of memory; look at the server's log, and try again with fewer songs.")
    finally:
        process.kill()
        answers.close()
        threading.Thread(target=process.wait, daemon=True).start()  # in the event loop, nothing may wait


def main() -> None:
    """Check the data of the request that the first argument is."""
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "wb", buffering=0)
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # what a library prints is no answer
    request = Request.model_validate_json(sys.argv[1])
    prepare_process(request.threads)
    reports = [Progress("looking at the data", 0, 0, None)]
    pool = ThreadPoolExecutor(1)
    future = pool.submit(look, request, reports, measure="--measure" in sys.argv)
    while not future.done():
        try:
            answers.write(_messages().dump_json(reports[-1]) + b"\n")
        except OSError:  # the server has ended; the thread would go on for as long as the data take
            os._exit(1)
        wait([future], timeout=_REPORT_SECONDS)
    answers.write(_messages().dump_json(future.result()) + b"\n")


def look(request: Request, reports: list[Progress], *, measure: bool) -> Plan | Failed:
    """Open the data of a request and plan its run; the latest report stands in ``reports[0]``."""
    try:
        data, config = open_data(request, request.config(), monitor=Monitor(lambda report: reports.__setitem__(0, report)))
        reports[0] = Progress("trying out a few steps", 0, 0, None)
        return plan(request, config, data, measure=measure)
    except Exception as error:  # noqa: BLE001 - all that goes wrong is told to the visitor
        if not isinstance(error, failure.EXPECTED):
            traceback.print_exc()
        return Failed(failure.sentence(error))


if __name__ == "__main__":
    main()
