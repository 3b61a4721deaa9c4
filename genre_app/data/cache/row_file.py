"""An array file that grows row by row and is a valid ``.npy`` at each moment when it is closed."""

from __future__ import annotations

from pathlib import Path
from types import TracebackType

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

_HEADER_BYTES = 128  # numpy's own is as long for any shape that occurs, since it leaves room to grow


class RowFile:
    """A two-dimensional ``.npy`` that is open for appending; a context manager.

    Parameters
    ----------
    path : pathlib.Path
        Made if missing.
    width : int
    dtype : str
        Little-endian, as numpy writes it: "<f2".

    Attributes
    ----------
    n_rows : int
        At first the whole rows that the file already holds; what a killed process left of one is dropped.
    """

    def __init__(self, path: Path, width: int, dtype: str) -> None:
        self._width, self._dtype = width, np.dtype(dtype)
        self._file = path.open("r+b" if path.exists() else "w+b")
        self._row_bytes = width * self._dtype.itemsize
        self.n_rows = max(0, path.stat().st_size - _HEADER_BYTES) // self._row_bytes
        self._file.truncate(_HEADER_BYTES + self.n_rows * self._row_bytes)
        self._file.seek(0, 2)

    def __enter__(self) -> RowFile:
        """Return itself."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Write the header for the rows that there are, and close the file."""
        with self._file:
            shape = f"({self.n_rows}, {self._width})"
            text = f"{{'descr': '{self._dtype.str}', 'fortran_order': False, 'shape': {shape}, }}"
            start = npy.magic(1, 0) + (_HEADER_BYTES - npy.MAGIC_LEN - 2).to_bytes(2, "little")
            self._file.seek(0)
            self._file.write((start + text.encode()).ljust(_HEADER_BYTES - 1) + b"\n")

    def append(self, rows: NDArray[np.floating]) -> int:
        """Write rows [n, width] at the end, through to the system, and return the number of the first."""
        self._file.write(np.ascontiguousarray(rows, dtype=self._dtype).data)
        self._file.flush()
        first = self.n_rows
        self.n_rows += len(rows)
        return first
