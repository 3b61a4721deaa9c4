"""The grid of bands and moments that an explanation is made of."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

N_BANDS = 10
"""Bands, equally high on the mel axis of a spectrogram: of 330 Hz below 1 kHz, and about half an octave above 2 kHz."""

# The work of an explanation grows with the number of cells. Ten moments of 3 s take 2 s on two cores (measured).
_MOMENTS = 10
_MOMENT_SECONDS = (1.0, 3.0)  # shortest and longest


@dataclass(frozen=True, eq=False)
class Grid:
    """Cells of a clip.

    Attributes
    ----------
    bands_hz : numpy.ndarray, float64 [b + 1]
        Edges of the bands, rising from 0.
    times : numpy.ndarray, float64 [m + 1]
        Edges of the moments in seconds, rising from 0 to the end of the clip.
    """

    bands_hz: NDArray[np.float64]
    times: NDArray[np.float64]

    @classmethod
    def over(cls, duration_seconds: float, top_hz: float) -> Grid:
        """Return the grid of a clip of this duration, from 0 Hz to ``top_hz``."""
        import librosa  # here: the first use takes half a second

        seconds = np.clip(duration_seconds / _MOMENTS, *_MOMENT_SECONDS)
        moments = max(1, round(duration_seconds / seconds))
        bands_hz = librosa.mel_to_hz(np.linspace(0.0, librosa.hz_to_mel(top_hz), N_BANDS + 1))
        return cls(bands_hz, np.linspace(0.0, duration_seconds, moments + 1))

    @property
    def moment_seconds(self) -> float:
        """Length of a moment."""
        return float(self.times[1])

    @property
    def shape(self) -> tuple[int, int]:
        """Number of bands and number of moments."""
        return len(self.bands_hz) - 1, len(self.times) - 1

    def bands_of(self, hz: NDArray[np.floating]) -> NDArray[np.intp]:
        """Return the band of each frequency; what lies above the last edge belongs to the last band."""
        return np.clip(np.searchsorted(self.bands_hz, hz, side="right") - 1, 0, self.shape[0] - 1)

    def moments_of(self, seconds: NDArray[np.floating]) -> NDArray[np.intp]:
        """Return the moment of each time; what lies outside the clip belongs to the nearest moment."""
        return np.clip(np.searchsorted(self.times, seconds, side="right") - 1, 0, self.shape[1] - 1)


def hertz(hz: float) -> str:
    """Write a frequency: ``330 Hz``, ``1.4 kHz``."""
    return f"{hz / 1000:.1f} kHz" if hz >= 950 else f"{round(hz, -1):.0f} Hz"
