"""TensorFlow's checkpoint files, read without TensorFlow."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from genre_app.pretrained.bundle import read_bundle
from tests.pretrained.bundle_file import bundle

TENSORS = {f"layer_{n}/kernel": np.arange(n * 3, dtype=np.float32).reshape(n, 3) for n in range(1, 40)}
TENSORS |= {"scalar": np.array(2.5, np.float32), "empty": np.zeros((0, 4), np.float32)}
INDEX, DATA = bundle(TENSORS | {"step": np.array([7], np.int64)})


def test_every_float32_tensor_is_read():
    found = read_bundle(INDEX, DATA)
    assert set(found) == set(TENSORS)
    for name, expected in TENSORS.items():
        np.testing.assert_array_equal(found[name], expected, strict=True)


def test_truncated_files_are_refused():
    with pytest.raises(ValueError, match="the data end after 5 bytes, within tensor"):
        read_bundle(INDEX, DATA[:5])
    with pytest.raises(ValueError, match="the index is truncated or is not a LevelDB table"):
        read_bundle(INDEX[:-1], DATA)
    with pytest.raises(ValueError, match="lies beyond its end"):
        read_bundle(INDEX[-48:], DATA)
    with pytest.raises(ValueError, match="the index is truncated"):
        read_bundle(b"", DATA)


@settings(max_examples=300, deadline=None)
@given(st.lists(st.tuples(st.integers(0, len(INDEX) - 1), st.integers(0, 255)), min_size=1, max_size=8))
def test_a_damaged_index_raises_nothing_but_value_error(changes):
    index = bytearray(INDEX)
    for at, byte in changes:
        index[at] = byte
    try:
        found = read_bundle(bytes(index), DATA)
    except ValueError:
        return
    assert sum(tensor.nbytes for tensor in found.values()) <= len(found) * len(DATA)
