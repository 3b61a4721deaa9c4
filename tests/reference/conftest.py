"""Tell at the end of the tests how reference outputs were compared."""

from __future__ import annotations

from tests.reference.record import HOW


def pytest_terminal_summary(terminalreporter) -> None:
    for sentence in sorted(HOW):
        terminalreporter.write_line(f"reference outputs: {sentence}")
