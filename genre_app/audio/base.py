"""Common parts of the decoders: their protocol, a safe file object, and conversion of samples to float."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any, BinaryIO, Protocol

import numpy as np
from numpy.typing import NDArray

BLOCK_VALUES = 1 << 17  # samples times channels of a block; larger blocks are not faster (measured)


class Decoder(Protocol):
    """An open file that is decoded once, from its start to its end.

    Attributes
    ----------
    damaged : bool
        A part could not be decoded or is missing; known once the blocks are consumed.
    claimed_seconds : float or None
        Length that a damaged file states.
    """

    damaged: bool
    claimed_seconds: float | None

    def blocks(self) -> Iterator[tuple[int, NDArray[np.float32]]]:
        """Yield sample rate (Hz) and samples [n, channels], full scale 1.0; an array is valid until the next one."""

    def close(self) -> None:
        """Release the file."""


class Source:
    """A file object for the decoding libraries whose `seek` never raises.

    Damaged files make both libraries seek to before the start, and both would print the exception.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.read, self.tell = file.read, file.tell

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Go to a position and return it; if that is impossible, stay and return -1."""
        try:
            return self._file.seek(offset, whence)
        except (OSError, ValueError):
            return -1


def full_scale(samples: NDArray[Any]) -> NDArray[np.float32]:
    """Return samples of any numeric type as float32 with full scale 1.0; integers are scaled by their width."""
    if samples.dtype.kind == "f":
        with np.errstate(over="ignore", invalid="ignore"):  # too large values become infinite; the caller refuses them
            return samples.astype(np.float32, copy=False)
    half = 2.0 ** (8 * samples.dtype.itemsize - 1)
    # float32 cannot hold integers of more than 16 bits exactly, so these go through float64.
    wide: NDArray[np.floating] = samples.astype(np.float64 if samples.dtype.itemsize > 2 else np.float32)
    if samples.dtype.kind == "u":
        wide -= half  # silence is the middle of the range
    wide /= half
    return wide.astype(np.float32, copy=False)
