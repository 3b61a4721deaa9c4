"""Mean power, and scaling by it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Samples = NDArray[np.float32]


def mean_power(samples: Samples) -> float:
    """Return the mean square of samples [n]; 0 if there are none."""
    return float(np.mean(np.square(samples, dtype=np.float64))) if len(samples) else 0.0


def add_noise(samples: Samples, noise: Samples, snr_db: float) -> Samples:
    """Add noise [n], scaled so that the mean power of the samples [n] is ``snr_db`` higher.

    Silent samples stay silent; a silent noise changes nothing.
    """
    power = mean_power(noise)
    scale = np.sqrt(mean_power(samples) / power * 10.0 ** (-snr_db / 10.0)) if power > 0 else 0.0
    return (samples + scale * noise).astype(np.float32)


def with_power_of(changed: NDArray[np.floating], samples: Samples) -> Samples:
    """Scale ``changed`` to the mean power of ``samples``."""
    changed = changed.astype(np.float32)
    power = mean_power(changed)
    return changed * np.float32(np.sqrt(mean_power(samples) / power if power > 0 else 1.0))
