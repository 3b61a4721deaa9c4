"""Write TensorFlow checkpoint files and a wheel around them, in the format of the published ones."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np

MAGIC = bytes.fromhex("57fb808b247547db")


def varint(value: int) -> bytes:
    out = b""
    while value > 127:
        out, value = out + bytes([value & 127 | 128]), value >> 7
    return out + bytes([value])


def block(entries: dict[bytes, bytes]) -> bytes:
    """A block of a LevelDB table: keys without their common prefix, every 16th in full."""
    out, previous, restarts = b"", b"", []
    for number, (key, value) in enumerate(sorted(entries.items())):
        n_shared = 0
        if number % 16 == 0:
            restarts.append(len(out))
        else:
            while n_shared < min(len(key), len(previous)) and key[n_shared] == previous[n_shared]:
                n_shared += 1
        out += varint(n_shared) + varint(len(key) - n_shared) + varint(len(value)) + key[n_shared:] + value
        previous = key
    restarts = restarts or [0]
    return out + b"".join(at.to_bytes(4, "little") for at in (*restarts, len(restarts)))


def bundle(tensors: dict[str, np.ndarray]) -> tuple[bytes, bytes]:
    """Index and data of a checkpoint."""
    data = b""
    entries = {b"": b"\x08\x01\x1a\x02\x08\x01"}
    for name, values in sorted(tensors.items()):
        part = values.astype(values.dtype.newbyteorder("<")).tobytes()
        shape = b"".join(b"\x12" + varint(1 + len(varint(n))) + b"\x08" + varint(n) for n in values.shape)
        dtype = {"float32": 1, "int64": 9}[values.dtype.name]
        offset = b"\x20" + varint(len(data)) if data else b""
        entries[name.encode()] = (
            b"\x08" + varint(dtype) + b"\x12" + varint(len(shape)) + shape + offset + b"\x28" + varint(len(part)) + b"\x35abcd"
        )
        data += part
    out, places = b"", {}
    names = sorted(entries)
    for some in (names[:20], names[20:]):  # two data blocks
        if some:
            written = block({name: entries[name] for name in some})
            places[some[-1] + b"~"] = varint(len(out)) + varint(len(written))
            out += written + bytes(5)
    index, meta = block(places), block({})
    handles = varint(len(out)) + varint(len(meta)) + varint(len(out) + len(meta) + 5) + varint(len(index))
    return out + meta + bytes(5) + index + bytes(5) + handles.ljust(40, b"\0") + MAGIC, data


def published_tensors(seed: int = 0) -> dict[str, np.ndarray]:
    """Random tensors with the names and shapes of the published network, and some of its optimiser's."""
    random = np.random.default_rng(seed)
    shapes: dict[str, tuple[int, ...]] = {"beta1_power": (), "dense/bias/Adam": (200,)}
    fronts = [(7, 38, 1, 204), (7, 67, 1, 204), (128, 1, 1, 51), (64, 1, 1, 51), (32, 1, 1, 51)]
    kernels = [*fronts, (7, 561, 1, 64), (7, 64, 1, 64), (7, 64, 1, 64)]
    for number, shape in enumerate(kernels):
        layer = f"conv2d_{number}" if number else "conv2d"
        shapes |= {f"{layer}/kernel": shape, f"{layer}/bias": shape[-1:]}
    shapes |= {"dense/kernel": (1506, 200), "dense/bias": (200,), "dense_1/kernel": (200, 50), "dense_1/bias": (50,)}
    for number, width in enumerate((1, *(shape[-1] for shape in kernels), 1506, 200)):
        layer = f"batch_normalization_{number}" if number else "batch_normalization"
        shapes |= {f"{layer}/{name}": (width,) for name in ("beta", "gamma", "moving_mean", "moving_variance")}
    return {
        name: random.uniform(0.5, 1.5, shape).astype(np.float32)
        if name.endswith("moving_variance")
        else random.normal(0.0, 0.1, shape).astype(np.float32)
        for name, shape in shapes.items()
    } | {"global_step": np.array(7, np.int64)}


def write_wheel(path: Path, index: bytes, data: bytes, *, labels: list[str]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for which in ("MSD_musicnn", "MTT_musicnn"):
            archive.writestr(f"musicnn/{which}/.index", index)
            archive.writestr(f"musicnn/{which}/.data-00000-of-00001", data)
        archive.writestr("musicnn/configuration.py", f"SR = 16000\n\nMTT_LABELS = {labels[::-1]}\n\nMSD_LABELS = {labels}\n")
        archive.writestr("musicnn-0.1.0.dist-info/LICENSE.md", "Permission to use is hereby granted.\n")
    return path
