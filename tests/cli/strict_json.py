"""JSON as other programs read it."""

from __future__ import annotations

import json

import pytest


def strict(line: str) -> dict:
    return json.loads(line, parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))
