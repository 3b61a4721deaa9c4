"""The download from the hub: without a network, and from a server of our own."""

from __future__ import annotations

import hashlib
import io
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pyarrow.parquet as pq
import pytest

from genre_app.data.sources import hub
from genre_app.data.sources.folder import AudioFolder
from genre_app.data.sources.hub import fetch
from genre_app.errors import DataError
from genre_app.progress import Monitor, StoppedError
from tests.data.sources.parquet import table, wav


def test_no_network_is_one_sentence(tmp_path, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(DataError, match=r"hub:confit/gtzan cannot be reached \(.+\); check the connection") as caught:
        fetch("confit/gtzan", tmp_path / "work")
    assert "\n" not in str(caught.value)


class Server:
    """One parquet file, served in as much of the hub's language as its client needs."""

    def __init__(self) -> None:
        buffer = io.BytesIO()
        pq.write_table(table([({"bytes": wav(i, 30.0), "path": f"{i}.wav"}, i % 2) for i in range(4)]), buffer)
        self.content = buffer.getvalue()
        self.sha = "a" * 40
        self.digest = hashlib.sha256(self.content).hexdigest()
        self.starts: list[int] = []
        self.cut_at: int | None = None  # where the connection breaks once
        self.ignores_ranges = False

    def listing(self, name: str) -> list[dict]:
        if name == "confit/gtzan":
            return [{"rfilename": "gtzan.py", "size": 5}]
        lfs = {"sha256": self.digest, "size": len(self.content), "pointerSize": 100}
        return [{"rfilename": "data/train-0.parquet", "size": len(self.content), "blobId": "b", "lfs": lfs}]

    def handler(self):
        server = self

        class Handler(BaseHTTPRequestHandler):
            def log_message(self, *_):
                pass

            def answer(self, body: bytes, status: int = 200, cut_at: int | None = None, **headers: str) -> None:
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name.replace("_", "-"), value)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body[:cut_at])

            def do_GET(self) -> None:
                for name in ("confit/gtzan-parquet", "confit/gtzan"):
                    if self.path.startswith(
                        (f"/api/datasets/{name}/revision/main", f"/api/datasets/{name}/revision/{server.sha}")
                    ):
                        body = {"id": name, "sha": server.sha, "siblings": server.listing(name)}
                        return self.answer(json.dumps(body).encode())
                if self.path == f"/datasets/confit/gtzan-parquet/resolve/{server.sha}/data/train-0.parquet":
                    start = int((self.headers["Range"] or "bytes=0-")[6:].partition("-")[0])
                    server.starts.append(start)
                    start = 0 if server.ignores_ranges else start
                    cut_at, server.cut_at = server.cut_at, None
                    return self.answer(server.content[start:], 206 if start else 200, cut_at)
                known = "confit/gtzan/" in self.path
                return self.answer(b"{}", 404, X_Error_Code="RevisionNotFound" if known else "RepoNotFound")

        return Handler


@pytest.fixture
def server(monkeypatch):
    serving = Server()
    with ThreadingHTTPServer(("127.0.0.1", 0), serving.handler()) as httpd:
        thread = threading.Thread(target=httpd.serve_forever, args=(0.05,))
        thread.start()
        address, template = f"http://127.0.0.1:{httpd.server_port}", "/{repo_id}/resolve/{revision}/{filename}"
        monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", address)
        monkeypatch.setattr("huggingface_hub.constants.HUGGINGFACE_CO_URL_TEMPLATE", address + template)
        monkeypatch.setattr(hub, "_BLOCK_BYTES", 1 << 16)
        monkeypatch.setattr("huggingface_hub.constants.DOWNLOAD_CHUNK_SIZE", 0)  # set by the download, restored after the test
        yield serving
        httpd.shutdown()
        thread.join()


def come(tmp_path) -> int:
    return sum(path.stat().st_size for path in (tmp_path / "work").rglob("*.parquet"))


@pytest.mark.parametrize("ignores_ranges", [False, True])
def test_a_stopped_download_asks_for_the_rest(server, tmp_path, ignores_ranges):
    """From a sibling of the name, where the data set itself has no parquet files."""
    with pytest.raises(StoppedError):
        fetch("confit/gtzan", tmp_path / "work", monitor=Monitor(should_stop=lambda: come(tmp_path) > 1 << 18))
    kept = come(tmp_path)
    assert 1 << 18 < kept < len(server.content)
    server.ignores_ranges = ignores_ranges
    moments = []
    folder = fetch("confit/gtzan", tmp_path / "work", monitor=Monitor(moments.append))
    assert server.starts == [0, kept]
    assert len(AudioFolder.find(folder).tracks) == 4
    assert (folder / "train/blues/2.wav").read_bytes() == wav(2, 30.0)
    downloading = [moment for moment in moments if moment.stage == "downloading MB"]
    assert (downloading[-1].done, downloading[-1].eta_seconds) == (len(server.content) >> 20, 0)


def test_a_broken_connection_is_taken_up_again(server, tmp_path):
    server.cut_at = 300_000
    folder = fetch("confit/gtzan-parquet", tmp_path / "work")
    assert server.starts[0] == 0
    assert 0 < server.starts[1] <= 300_000
    assert len(AudioFolder.find(folder).tracks) == 4


def test_what_came_damaged_is_thrown_away(server, tmp_path):
    good, server.content = server.content, server.content[:-9] + b"x" + server.content[-8:]
    with pytest.raises(DataError, match=r"data/train-0\.parquet came damaged; start again"):
        fetch("confit/gtzan-parquet", tmp_path / "work")
    server.content = good
    assert len(AudioFolder.find(fetch("confit/gtzan-parquet", tmp_path / "work")).tracks) == 4
    assert server.starts == [0, 0]


def test_a_data_set_that_is_not_there(server, tmp_path):
    with pytest.raises(DataError, match="hub:nobody/nothing: the hub has no such public data set"):
        fetch("nobody/nothing", tmp_path / "work")
