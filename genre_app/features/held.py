"""The samples of a stream that are still needed."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from genre_app.features.spec import FeatureSpec


class Held:
    """The latest samples of a stream. Positions count from its start; before it lie ``context`` zeros.

    Parameters
    ----------
    context : int
    """

    def __init__(self, context: int) -> None:
        self.n_samples = 0
        self._samples = np.zeros(context, np.float32)
        self._origin = -context  # position of the first sample held

    def add(self, block: NDArray[np.float32]) -> None:
        """Append samples, float32 [n]."""
        self.n_samples += len(block)
        self._samples = np.concatenate([self._samples, block])

    def between(self, start: int, end: int) -> NDArray[np.float32]:
        """Return the samples from ``start`` to ``end``, float32 [end - start], with zeros beyond the last one."""
        found = self._samples[max(0, start - self._origin) : max(0, end - self._origin)]
        missing = end - start - len(found)
        return np.concatenate([found, np.zeros(missing, np.float32)]) if missing else found

    def latest(self, n_samples: int) -> NDArray[np.float32]:
        """Return the last ``n_samples`` samples, or all if there are fewer."""
        return self._samples[len(self._samples) - min(n_samples, self.n_samples) :]

    def segment(self, start_frame: int, spec: FeatureSpec) -> NDArray[np.float32]:
        """Return a segment with its context, as `genre_app.features.segments.Segments` has it."""
        half = spec.n_fft // 2
        if self.n_samples and 1 + self.n_samples // spec.hop_length < spec.segment_frames:
            repeated = np.resize(self.latest(self.n_samples), spec.segment_samples + spec.n_fft - half)
            return np.concatenate([np.zeros(half, np.float32), repeated])
        at = start_frame * spec.hop_length - half
        return self.between(at, at + spec.segment_samples + spec.n_fft)

    def drop_before(self, position: int) -> None:
        """Forget the samples before ``position``."""
        n_dropped = max(0, position - self._origin)
        if n_dropped:
            self._samples = self._samples[n_dropped:].copy()  # a view would keep the whole array
            self._origin += n_dropped
