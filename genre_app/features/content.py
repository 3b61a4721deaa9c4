"""Decide what a recording holds besides music: nothing but noise, or speech.

Audio is analysed in pieces. One piece with music is enough: the recording is then neither noise nor speech.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from genre_app.features.noise import MIN_SECONDS, is_noise
from genre_app.features.speech import is_speech

PIECE_SECONDS = 10.0
"""Length of a piece."""


class ContentDetector:
    """Analyse consecutive blocks of samples until a piece is neither noise nor speech.

    Parameters
    ----------
    sample_rate : int
        Hz.
    suppressed : bool
        The sound went through noise suppression, as in a browser whose microphone is set up for speech.
    """

    def __init__(self, sample_rate: int, *, suppressed: bool = False) -> None:
        self._rate, self._suppressed = sample_rate, suppressed
        self._held: list[NDArray[np.float32]] = []
        self._n_held = 0
        # Of each piece so far: whether it is noise, and whether it is speech; None if there was too little sound.
        self._noise: list[bool | None] = []
        self._speech: list[bool | None] = []

    def add(self, block: NDArray[np.float32]) -> None:
        """Add the next samples, float32 [n]; the result does not depend on the size of the blocks."""
        width = round(PIECE_SECONDS * self._rate)
        while len(block) and not self._is_known:
            taken, block = block[: width - self._n_held], block[width - self._n_held :]
            self._held.append(taken)
            self._n_held += len(taken)
            if self._n_held == width:
                self._analyse()

    def finish(self) -> None:
        """Analyse the rest; call it once, after the last block."""
        # If earlier pieces were analysed, ignore a short rest: it decides less reliably.
        least = PIECE_SECONDS / 2 if any(verdict is not None for verdict in self._noise) else MIN_SECONDS
        if not self._is_known and self._n_held >= least * self._rate:
            self._analyse()

    @property
    def is_noise(self) -> bool:
        """Whether there was enough sound, and all of it was noise."""
        return _all(self._noise)

    @property
    def is_speech(self) -> bool:
        """Whether there was enough sound, and all of it was speech."""
        return _all(self._speech) and not self.is_noise

    @property
    def _is_known(self) -> bool:
        return False in self._noise and False in self._speech

    def _analyse(self) -> None:
        samples = np.concatenate(self._held)
        self._held, self._n_held = [], 0
        self._noise.append(is_noise(samples, self._rate, suppressed=self._suppressed))
        self._speech.append(is_speech(samples, self._rate))


def _all(verdicts: list[bool | None]) -> bool:
    """Return whether there is a verdict, and each one is yes."""
    return True in verdicts and False not in verdicts
