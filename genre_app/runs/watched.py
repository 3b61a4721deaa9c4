"""A run that another part of this process follows and can end."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from genre_app.runs.events import Event
from genre_app.runs.run import Run


@dataclass(frozen=True)
class WatchedRun(Run):
    """A run that calls ``listen`` with each event, after it is in the journal, and that stops if ``is_over`` says so."""

    listen: Callable[[Event], object] = field(compare=False)
    is_over: Callable[[], bool] = field(default=lambda: False, compare=False)

    def record(self, event: Event) -> None:
        """Append an event to the journal, then call the listener."""
        super().record(event)
        self.listen(event)

    @property
    def should_stop(self) -> bool:
        """Whether the run is to stop after the current step."""
        return self.is_over() or super().should_stop
