"""Accuracy to expect in a measured room: that of the most similar condition whose accuracy was measured."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from functools import lru_cache
from math import dist, inf, log2
from pathlib import Path
from typing import Any

from genre_app.augment.room_check import RoomCheck
from genre_app.evaluation.conditions import catalogue
from genre_app.evaluation.conditions.device import TELEPHONE_HZ

_FILE = Path(__file__).with_name("expected.toml")

# Ranges beyond which a value no longer matters: shorter reverberation, fainter noise and a wider band change no answer.
_LEAST_T60_SECONDS = 0.2
_MOST_SNR_DB = 25.0
_BAND_HZ = (100.0, 8000.0)

# Differences that count as one step, set by hand; a condition fits within `_MOST_STEPS`.
_T60_OCTAVES, _SNR_STEP_DB, _LOW_OCTAVES, _HIGH_OCTAVES = 0.7, 6.0, 2.0, 1.0
_MOST_STEPS = 1.3


@dataclass(frozen=True)
class Situation:
    """What makes a recording differ from a file.

    Attributes
    ----------
    t60_seconds, snr_db, low_hz, high_hz : float
        As in `RoomCheck`.
    """

    t60_seconds: float = 0.0
    snr_db: float = inf
    low_hz: float = 0.0
    high_hz: float = inf

    def steps_to(self, other: Situation) -> float:
        """Return the distance to another situation; from 1 on, they clearly differ."""
        return dist(self._place(), other._place())

    def _place(self) -> tuple[float, ...]:
        lowest, highest = _BAND_HZ
        return (
            log2(max(self.t60_seconds, _LEAST_T60_SECONDS)) / _T60_OCTAVES,
            min(self.snr_db, _MOST_SNR_DB) / _SNR_STEP_DB,
            log2(max(self.low_hz, lowest)) / _LOW_OCTAVES,
            log2(min(self.high_hz, highest)) / _HIGH_OCTAVES,
        )


@dataclass(frozen=True)
class Expectation:
    """Measured accuracy of the most similar condition.

    Attributes
    ----------
    condition : str
        Name in `genre_app.evaluation.conditions.catalogue.STANDARD`, or ``file``.
    words : str
        What the condition simulates: "a simulated kitchen".
    accuracy, file_accuracy : float
        Share of the tracks, 0 to 1.
    n_tracks : int
    """

    condition: str
    words: str
    accuracy: float
    file_accuracy: float
    n_tracks: int

    @property
    def retention(self) -> float:
        """Share of the accuracy on files that remains."""
        return self.accuracy / self.file_accuracy


def expected(check: RoomCheck) -> Expectation | None:
    """Return the accuracy of the condition nearest to a room in reverberation, noise and frequency band.

    None if no measured condition is similar, or the noise hides the reverberation. Suppressed noise and clipped peaks give None
    too, because the accuracy with them was not measured.
    """
    if check.t60_seconds is None or check.is_suppressed or check.is_clipped:
        return None
    room = Situation(check.t60_seconds, check.snr_db, check.low_hz, check.high_hz)
    situations = _situations()
    steps = {name: room.steps_to(situation) for name, (situation, _) in situations.items()}
    nearest = min(steps, key=lambda name: steps[name])
    if steps[nearest] > _MOST_STEPS:
        return None
    table = _table()
    accuracy = table["accuracy"]
    return Expectation(nearest, situations[nearest][1], accuracy[nearest], accuracy["file"], table["n_tracks"])


def _situations() -> dict[str, tuple[Situation, str]]:
    """Return situation and words of each condition with a measured accuracy; ranges are represented by their means."""
    rooms, phone = catalogue.ROOMS, (catalogue.PHONE_T60_SECONDS, catalogue.PHONE_LOW_HZ, catalogue.PHONE_HIGH_HZ)
    seconds, low, high = (sum(pair) / 2 for pair in phone)
    return {
        "file": (Situation(), "a file, not recorded"),
        "room-kitchen": (Situation(rooms["kitchen"].t60_seconds), "a simulated kitchen"),
        "room-living": (Situation(rooms["living"].t60_seconds), "a simulated living room"),
        "room-stairs": (Situation(rooms["stairs"].t60_seconds), "a simulated stairwell"),
        "telephone": (Situation(low_hz=TELEPHONE_HZ[0], high_hz=TELEPHONE_HZ[1]), "a simulated telephone"),
        "phone-in-room": (Situation(seconds, catalogue.PHONE_SNR_DB, low, high), "a simulated phone in a noisy room"),
        "pink-10": (Situation(snr_db=10.0), "noise 10 dB under the music"),
    }


@lru_cache(maxsize=1)
def _table() -> dict[str, Any]:
    return tomllib.loads(_FILE.read_text(encoding="utf-8"))
