"""What a visit costs: its memory, its description of the page, its files."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time
import tracemalloc

import gradio as gr
import pytest
from gradio import component_meta, mcp
from gradio.state_holder import SessionState
from gradio.utils import get_upload_folder
from starlette.responses import JSONResponse, PlainTextResponse
from starlette.testclient import TestClient

from genre_app.files import temporary_folder
from genre_app.ui import visits, without_stubs
from genre_app.ui.api import _ToolServer
from genre_app.ui.kept import Kept
from genre_app.ui.page import launch_options


def test_a_visit_takes_little_memory(app):
    SessionState(app)
    tracemalloc.start()
    try:
        kept = [SessionState(app) for _ in range(5)]
        assert tracemalloc.get_traced_memory()[0] < 5 * 250_000
    finally:
        tracemalloc.stop()
    assert len(kept[0].blocks_config.blocks) == len(app.blocks)


def test_the_memory_of_all_visits_is_bounded():
    assert launch_options()["state_session_capacity"] <= 1000


def test_two_visits_share_no_state(app):
    state = next(key for key, block in app.blocks.items() if block.get_block_name() == "state")
    shown = next(key for key, block in app.blocks.items() if block.get_block_name() == "html")
    mine, other = SessionState(app), SessionState(app)
    mine[state] = "mine"
    mine._update_value_in_config(shown, "mine")
    assert mine[state] == "mine"
    assert other[state] is None
    assert all("mine" not in str(described) for described in other.components)


def test_the_page_itself_is_described_in_full(app):
    config = app.get_config_file()
    assert len(config["components"]) == len(app.blocks)
    assert len(config["dependencies"]) == len(app.fns)


def test_gradio_makes_no_statistics_of_events(app):
    app.queue(max_size=3)
    assert app._queue.ANALYTICS_MAX_EVENTS == 1
    assert app._queue.ANAYLTICS_CACHE_FREQUENCY > 1_000_000


def test_deleted_files_leave_neither_a_path_nor_a_folder(app, tmp_path, monkeypatch):
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path))
    gone, kept, foreign = "0" * 64, "1" * 64, "mine"
    for name in (gone, kept, foreign):
        (tmp_path / name).mkdir()
    (tmp_path / kept / "a.wav").touch()
    app.upload_file_set.update(str(tmp_path / name / "a.wav") for name in (gone, kept))
    visits.forget_deleted(app, age_seconds=60.0)
    assert (tmp_path / gone).is_dir()
    visits.forget_deleted(app)
    assert app.upload_file_set == {str(tmp_path / kept / "a.wav")}
    assert sorted(path.name for path in tmp_path.iterdir()) == [kept, foreign]
    app.upload_file_set.clear()


def test_gradio_deletes_the_files_that_a_tool_is_called_with(app, tmp_path, monkeypatch):
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path))
    monkeypatch.setattr(mcp, "DEFAULT_TEMP_DIR", str(tmp_path))
    server = _ToolServer(app)
    given = {"files": ["data:audio/wav;base64,AAAA", "https://a.example/b.wav"], "vote": "mean"}
    found = server.convert_strings_to_filedata(given, [["files", "items"]])
    (saved,) = tmp_path.rglob("*.wav")
    assert [file["path"] for file in found["files"]] == [str(saved), "https://a.example/b.wav"]
    assert app.upload_file_set == {str(saved)}
    app.upload_file_set.clear()


def test_files_may_arrive_while_gradio_deletes_old_ones(app, tmp_path):
    known = app.temp_file_sets.copy()
    assert {id(paths) for paths in known} == {
        id(app.upload_file_set),
        *(id(block.temp_files) for block in app.blocks.values() if isinstance(block, gr.components.Component)),
    }

    for paths in known:
        before = set(paths)
        paths.update(str(tmp_path / name) for name in ("a.wav", "b.wav"))
        going = iter(paths)
        next(going)
        paths.add(str(tmp_path / "c.wav"))
        assert len(list(going)) == len(before) + 1
        paths.clear()
        paths.update(before)


def test_what_a_killed_server_has_left_is_deleted(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setenv("GRADIO_TEMP_DIR", "")
    uploads = temporary_folder("uploads")
    old, late, foreign = "0" * 64, "1" * 64, "mine"
    for name in (old, late, foreign):
        (uploads / name).mkdir()
        (uploads / name / "a.wav").touch()
    two_hours_ago = time.time() - 7200
    for path in (*uploads.glob("*/*"), *uploads.iterdir()):
        if path != uploads / late / "a.wav":
            os.utime(path, (two_hours_ago, two_hours_ago))
    visits.keep_uploads_apart(3600)
    assert os.environ["GRADIO_TEMP_DIR"] == get_upload_folder() == str(uploads)
    assert sorted(path.name for path in uploads.iterdir()) == [late, foreign]
    # A folder that the user has chosen may hold the files of others.
    os.utime(uploads / late / "a.wav", (two_hours_ago, two_hours_ago))
    visits.keep_uploads_apart(3600)
    assert (uploads / late).is_dir()


class Page:
    """Counts the times that it is computed; the status, and a header that names a visitor, can be chosen."""

    def __init__(self) -> None:
        self.times, self.status, self.headers, self.rest = 0, 200, {}, ""

    async def __call__(self, scope, receive, send):
        self.times += 1
        await asyncio.sleep(0.01)
        answer = PlainTextResponse if scope["path"] == "/other" else JSONResponse
        text = f"{scope['path']} {self.times}{self.rest}"
        await answer(text, status_code=self.status, headers=self.headers)(scope, receive, send)


@pytest.fixture
def page() -> Page:
    return Page()


@pytest.fixture
def client(page) -> TestClient:
    return TestClient(Kept(page))


def test_the_page_is_computed_once_for_all_visitors(page, client):
    answers = [client.get("/config", headers={"user-agent": str(number)}) for number in range(3)]
    assert [answer.json() for answer in answers] == ["/config 1"] * 3
    assert client.get("/").json() == "/ 2"


def test_the_page_is_compressed_for_a_browser_that_can_read_it(page, client):
    page.rest = " and so on" * 1000
    plain, compressed = ({"accept-encoding": coding} for coding in ("identity", "gzip"))
    answers = [client.get("/config", headers=headers) for headers in (compressed, plain, compressed)]
    assert [answer.headers.get("content-encoding") for answer in answers] == ["gzip", None, "gzip"]
    assert all(answer.headers["vary"] == "Accept-Encoding" for answer in answers)
    assert int(answers[0].headers["content-length"]) < len(answers[0].content) / 10
    assert [answer.json()[:9] for answer in answers] == ["/config 1", "/config 2", "/config 1"]


def test_each_way_to_address_the_page_has_an_answer_of_its_own(page, client):
    for headers in ({"host": "a.example"}, {"host": "b.example"}, {"x-forwarded-proto": "https"}):
        client.get("/config", headers=headers)
    client.get("/config?page=x")
    assert page.times == 4
    for number in range(100):
        client.get(f"/config?page={number}")
    assert client.get("/config", headers={"host": "a.example"}).json() == "/config 105"  # only the latest are kept


@pytest.mark.parametrize("personal", [{"cookie": "a=b"}, {"authorization": "Bearer x"}])
def test_signed_in_visitors_get_their_own(page, client, personal):
    for _ in range(2):
        client.get("/config", headers=personal)
    assert page.times == 2


def test_errors_and_cookies_are_not_kept(page, client):
    page.status = 401
    assert client.get("/config").status_code == 401
    page.status, page.headers = 200, {"set-cookie": "a=b"}
    client.get("/config")
    client.cookies.clear()
    page.headers = {}
    assert client.get("/config").json() == "/config 3"
    assert client.get("/other").text == "/other 4"
    assert client.post("/config").json() == "/config 5"
    assert page.times == 5


def test_visitors_at_the_same_time_wait_for_one_answer(page):
    async def ask_together() -> list[dict]:
        kept = Kept(page)
        sent: list[dict] = []

        async def send(message):
            sent.append(message)

        scope = {"type": "http", "method": "GET", "path": "/config", "query_string": b"", "headers": []}
        await asyncio.gather(*(kept(scope, None, send) for _ in range(20)))
        return sent

    bodies = [message["body"] for message in asyncio.run(ask_together()) if message["type"] == "http.response.body"]
    assert bodies == [b'"/config 1"'] * 20


_IN_THREADS = """
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
if sys.argv[1] == "shared":
    from genre_app.runs.host import share_heaps
    share_heaps()
barrier = Barrier(16)
def work(_):
    held = [bytes(50_000) for _ in range(20)]  # below the size for which malloc asks the kernel each time
    barrier.wait()
    return held
with ThreadPoolExecutor(16) as pool:
    list(pool.map(work, range(16)))
    parts = [line.split() for line in open("/proc/self/maps")]
# glibc begins each further heap at a multiple of 64 MB.
print(sum(int(where.split("-")[0], 16) % (1 << 26) == 0 and access == "rw-p" for where, access, *_ in parts))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="heaps of glibc")
def test_threads_share_two_heaps():
    def heaps(how: str) -> int:
        done = subprocess.run([sys.executable, "-c", _IN_THREADS, how], capture_output=True, text=True, check=True)
        return int(done.stdout)

    assert heaps("own") > 4
    assert heaps("shared") <= 2


def test_gradio_writes_stubs_of_its_components_only_when_it_may(monkeypatch):
    asked = []
    monkeypatch.setattr(component_meta, "extract_class_source_code", lambda code, name: asked.append(name) or (None, None))
    with without_stubs():
        component_meta.create_or_modify_pyi(gr.Textbox, "Textbox", [])
    assert asked == []
    with pytest.raises(ValueError, match="source code"):
        component_meta.create_or_modify_pyi(gr.Textbox, "Textbox", [])
    assert asked == ["Textbox"]
