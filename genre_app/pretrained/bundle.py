"""Read the float32 tensors of a TensorFlow checkpoint without TensorFlow.

Format
------
The index is a LevelDB table: blocks of entries with prefix-compressed keys. The 48 bytes at its end give the place of the
index block, whose values give the places of the data blocks. The value of a data entry is a protobuf (BundleEntryProto): data
type (field 1), shape (2), shard (3), offset (4) and size (5) of the tensor in the data file.

Reading trusts nothing: each place is compared with the length of the file before it is used.

References
----------
LevelDB, doc/table_format.md; TensorFlow, tensor_bundle.proto.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

_FOOTER_BYTES = 48
_MAGIC = bytes.fromhex("57fb808b247547db")
_TRAILER_BYTES = 5  # after each block: type of compression, checksum
_FLOAT32 = 1  # DT_FLOAT
_MAX_VARINT_BYTES = 10
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5  # wire types of protobuf
_SHAPE, _OFFSET, _SIZE = 2, 4, 5


def read_bundle(index: bytes, data: bytes) -> dict[str, NDArray[np.float32]]:
    """Return the float32 tensors of a checkpoint by name.

    Parameters
    ----------
    index, data : bytes
        The files ``.index`` and ``.data-00000-of-00001``.

    Raises
    ------
    ValueError
        If the files are truncated or damaged.
    """
    if len(index) < _FOOTER_BYTES or index[-len(_MAGIC) :] != _MAGIC:
        raise ValueError("the index is truncated or is not a LevelDB table")
    footer = index[-_FOOTER_BYTES:]
    _, at = _handle(footer, 0)
    place, _ = _handle(footer, at)
    tensors = {}
    for _, handle in _entries(_block(index, place)):
        for name, value in _entries(_block(index, _handle(handle, 0)[0])):
            if name:  # the entry without a name describes the whole checkpoint
                tensor = _tensor(name.decode("utf-8", "replace"), value, data)
                if tensor is not None:
                    tensors[name.decode("utf-8", "replace")] = tensor
    return tensors


def _tensor(name: str, value: bytes, data: bytes) -> NDArray[np.float32] | None:
    """Return the tensor that an entry describes; None if it is not float32."""
    fields: dict[int, int | bytes] = dict(_fields(value))
    if fields.get(1) != _FLOAT32:
        return None
    stated, offset, size = fields.get(_SHAPE, b""), fields.get(_OFFSET, 0), fields.get(_SIZE, 0)
    if not (isinstance(stated, bytes) and isinstance(offset, int) and isinstance(size, int)):
        raise ValueError(f"the entry of tensor {name[:80]!r} is damaged")
    dimensions = [
        dict(_fields(part)).get(1, 0) for field, part in _fields(stated) if field == _SHAPE and isinstance(part, bytes)
    ]
    shape = [length for length in dimensions if isinstance(length, int)]
    if size != 4 * math.prod(shape):
        raise ValueError(f"tensor {name[:80]!r} states {size} bytes for the shape {shape}")
    if offset + size > len(data):
        raise ValueError(f"the data end after {len(data)} bytes, within tensor {name[:80]!r}: the file is truncated")
    return np.frombuffer(data, "<f4", size // 4, offset).reshape(shape)


def _block(index: bytes, place: tuple[int, int]) -> bytes:
    offset, size = place
    if offset + size + _TRAILER_BYTES > len(index):
        raise ValueError("a block of the index lies beyond its end")
    if index[offset + size] != 0:
        raise ValueError("a block of the index is compressed")
    return index[offset : offset + size]


def _entries(block: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yield key and value of each entry of a block."""
    n_restarts = int.from_bytes(block[-4:], "little")
    end = len(block) - 4 - 4 * n_restarts
    if end < 0:
        raise ValueError("a block of the index is damaged")
    key, at = b"", 0
    while at < end:
        n_shared, at = _varint(block, at)
        n_new, at = _varint(block, at)
        n_value, at = _varint(block, at)
        if n_shared > len(key) or at + n_new + n_value > end:
            raise ValueError("an entry of the index is damaged")
        key = key[:n_shared] + block[at : at + n_new]
        at += n_new
        yield key, block[at : at + n_value]
        at += n_value


def _fields(message: bytes) -> Iterator[tuple[int, int | bytes]]:
    """Yield number and value of each field of a protobuf message."""
    at = 0
    while at < len(message):
        tag, at = _varint(message, at)
        number, wire = tag >> 3, tag & 7
        if wire == _VARINT:
            value, at = _varint(message, at)
            yield number, value
            continue
        if wire not in (_FIXED64, _BYTES, _FIXED32):
            raise ValueError("an entry of the index has an unknown type")
        n_bytes = 8 if wire == _FIXED64 else 4
        if wire == _BYTES:
            n_bytes, at = _varint(message, at)
        if at + n_bytes > len(message):
            raise ValueError("an entry of the index is cut off")
        yield number, message[at : at + n_bytes]
        at += n_bytes


def _handle(data: bytes, at: int) -> tuple[tuple[int, int], int]:
    """Return the place (offset, size) of a block, and the position after it."""
    offset, at = _varint(data, at)
    size, at = _varint(data, at)
    return (offset, size), at


def _varint(data: bytes, at: int) -> tuple[int, int]:
    """Return the number of variable length at a position, and the position after it."""
    value = 0
    for number, byte in enumerate(data[at : at + _MAX_VARINT_BYTES]):
        value |= (byte & 127) << (7 * number)
        if byte < 128:
            return value, at + number + 1
    raise ValueError("a number of the index is cut off")
