"""One of two processes that train together, without the other."""

from __future__ import annotations

from dataclasses import dataclass

from genre_app.training.processes import Processes


@dataclass(frozen=True, eq=False)
class OneOfTwo(Processes):
    """The second of two processes, or the one of this rank."""

    rank: int = 1
    count: int = 2

    def any(self, mine):
        return mine

    def average_gradients(self, model):
        pass

    def average_buffers(self, *models):
        pass
