"""Files that are written atomically."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from genre_app.files import write_whole


def test_several_threads_write_the_same_file(tmp_path):
    # Two copies of a clip, for example, have one file in the cache of embeddings.
    path, data = tmp_path / "a", [bytes([number]) * 100_000 for number in range(8)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda part: write_whole(path, part), data * 10))
    assert path.read_bytes() in data
    assert list(tmp_path.iterdir()) == [path]
