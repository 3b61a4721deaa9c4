"""The accuracy to expect in a room comes from the table of results, or is not stated."""

from __future__ import annotations

import re
import tomllib
from dataclasses import replace
from pathlib import Path

import pytest

from genre_app.augment.room_check import RoomCheck
from genre_app.evaluation.conditions import catalogue, expected

ROOM = RoomCheck(0.42, -1.0, {1000.0: 0.0}, 60.0, 18000.0, 40.0, 0.1, False, False)
TABLE = tomllib.loads(Path(expected.__file__).with_name("expected.toml").read_text())
RESULTS = Path(__file__).parents[2] / "train" / "RESULTS.md"
ROWS = {
    "file": "file",
    "room-kitchen": "kitchen",
    "room-living": "living room",
    "room-stairs": "stairwell",
    "telephone": "telephone",
    "phone-in-room": "phone in a room",
    "pink-10": "pink noise at 10 dB",
}


def test_the_numbers_are_those_of_the_results():
    text = RESULTS.read_text(encoding="utf-8")
    section = text[text.index("--seconds 12 --conditions all") :]
    assert f"n = {TABLE['n_tracks']}" in section[:100]
    assert TABLE["command"] in text
    for name, row in ROWS.items():
        joined = re.search(rf"^\| {row} \|.*\| (\d+) %, [\d.]+ \|$", section, re.MULTILINE).group(1)
        assert TABLE["accuracy"][name] == pytest.approx(int(joined) / 100)
    assert TABLE["accuracy"].keys() == ROWS.keys()
    assert set(ROWS) - {"file"} <= set(catalogue.STANDARD)


@pytest.mark.parametrize(
    ("change", "condition"),
    [
        ({}, "room-kitchen"),
        ({"t60_seconds": 0.65, "low_hz": 150.0}, "room-living"),
        ({"t60_seconds": 1.2}, "room-stairs"),
        ({"t60_seconds": 0.05}, "file"),
        ({"t60_seconds": 0.05, "low_hz": 280.0, "high_hz": 3600.0}, "telephone"),
        ({"t60_seconds": 0.05, "snr_db": 9.0}, "pink-10"),
        ({"t60_seconds": 0.6, "snr_db": 12.0, "low_hz": 200.0, "high_hz": 9000.0}, "phone-in-room"),
    ],
)
def test_the_most_similar_condition_is_chosen(change, condition):
    found = expected.expected(replace(ROOM, **change))
    assert found.condition == condition
    assert found.retention == pytest.approx(TABLE["accuracy"][condition] / TABLE["accuracy"]["file"])


@pytest.mark.parametrize(
    "change",
    [
        {"t60_seconds": 5.0},
        {"t60_seconds": None},
        {"t60_seconds": 1.2, "snr_db": 3.0},
        {"high_hz": 1500.0},
        {"browser_suppresses": True},
        {"is_clipped": True},
    ],
)
def test_nothing_is_stated_where_nothing_similar_was_measured(change):
    assert expected.expected(replace(ROOM, **change)) is None
