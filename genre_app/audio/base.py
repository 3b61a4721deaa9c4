"""What the decoders share: their protocol, their one error, and samples of any type as floats."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any, BinaryIO, Protocol

import numpy as np
from numpy.typing import NDArray

BLOCK_VALUES = 1 << 17  # samples times channels that are handed on at once; larger is no faster


class Decoder(Protocol):
    """An open file, decoded once from its start to its end.

    Attributes
    ----------
    damaged : bool
        Something could not be decoded or is missing; known once the blocks are consumed.
    claimed_seconds : float or None
        How long a damaged file says it is.
    """

    damaged: bool
    claimed_seconds: float | None

    def blocks(self) -> Iterator[tuple[int, NDArray[np.float32]]]:
        """Yield sample rate (Hz) and samples [n, channels], full scale 1.0; an array is valid until the next one."""
        ...

    def close(self) -> None:
        """Release the file."""
        ...


class Source:
    """A file object for the two libraries, in which a seek to before the start fails in silence.

    Damaged files ask for that, and both libraries would print the exception.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.read, self.tell = file.read, file.tell

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Go to a position and return it, or -1 and stay."""
        try:
            return self._file.seek(offset, whence)
        except (OSError, ValueError):
            return -1


def full_scale(samples: NDArray[Any]) -> NDArray[np.float32]:
    """Return samples of any numeric type as float32 with full scale at 1.0; that of integers is by their width."""
    if samples.dtype.kind == "f":
        with np.errstate(
            over="ignore", invalid="ignore"
        ):  # what does not fit becomes infinite, which is for the caller to refuse
            return samples.astype(np.float32, copy=False)
    half = 2.0 ** (8 * samples.dtype.itemsize - 1)
    # float64 first where float32 cannot hold the integers.
    wide: NDArray[np.floating] = samples.astype(np.float64 if samples.dtype.itemsize > 2 else np.float32)
    if samples.dtype.kind == "u":
        wide -= half  # the middle of the range is zero
    wide /= half
    return wide.astype(np.float32, copy=False)
