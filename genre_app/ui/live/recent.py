"""The last 30 seconds of a stream, kept in memory so that the visitor can add them to a collection."""

from __future__ import annotations

from collections import deque

import numpy as np
from numpy.typing import NDArray

from genre_app.audio import Clip
from genre_app.audio.resample import Resamplers
from genre_app.data.collection.collection import MAX_CLIP_SECONDS, SAMPLE_RATE

_MOST = round(MAX_CLIP_SECONDS * SAMPLE_RATE)


class Recent:
    """Latest samples of a stream as 16-bit integers: at most 1.3 MB for each visitor who listens."""

    def __init__(self) -> None:
        self._pieces: deque[NDArray[np.int16]] = deque()
        self._resampler: tuple[int, Resamplers] | None = None

    def add(self, samples: NDArray[np.float32], sample_rate: int) -> None:
        """Keep the next samples, float32 [n], and drop those that are too old."""
        if self._resampler is None or self._resampler[0] != sample_rate:
            self._resampler = (sample_rate, Resamplers(sample_rate, [SAMPLE_RATE]))
        new = self._resampler[1].add(samples)[SAMPLE_RATE]
        self._pieces.append(np.clip(np.round(new * 32768.0), -32768, 32767).astype(np.int16)[-_MOST:])
        while sum(map(len, self._pieces)) - len(self._pieces[0]) >= _MOST:
            self._pieces.popleft()

    def clip(self, name: str) -> Clip:
        """Return the last 30 seconds, or less if the stream is shorter."""
        kept = np.concatenate([*self._pieces, np.zeros(0, np.int16)])[-_MOST:]
        return Clip(kept.astype(np.float32) / 32768.0, SAMPLE_RATE, name)

    def clear(self) -> None:
        """Drop everything."""
        self._pieces.clear()
