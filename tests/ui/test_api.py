"""The page's endpoints over HTTP and MCP: the same numbers as Python, many visitors at once, hostile files."""

from __future__ import annotations

import base64
import json
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import httpx
import numpy as np
import pytest
import soundfile
from gradio_client import handle_file
from gradio_client.exceptions import AppError

from genre_app import classify, load_clip
from genre_app.audio import open_audio
from tests.conftest import serve_page

RATE = 22050


def test_the_answer_is_pythons_to_the_last_digit(client, songs, checkpoint):
    clip = load_clip(songs[9])
    for options in ({}, {"vote": "majority"}, {"vote": "knn", "overlap": 0.75}):
        found = client.predict(handle_file(songs[9]), **options, api_name="/classify")
        assert found == {**classify(clip, checkpoint, **options).to_dict(), "checkpoint": "default"}
        assert isinstance(found["sure"], bool)


def test_a_batch_answers_each_file_and_explains_the_bad_one(client, songs, tmp_path):
    bad = tmp_path / "bad.mp3"
    bad.write_text("no music at all")
    found = client.predict([handle_file(f) for f in (songs[0], str(bad), songs[1])], api_name="/classify_batch")
    assert [entry["file"] for entry in found] == ["song00.wav", "bad.mp3", "song01.wav"]
    assert set(found[1]) == {"file", "error"}
    assert found[0] == client.predict(handle_file(songs[0]), api_name="/classify")


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("text.wav", b"I am text. " * 99, "text.wav: this is not an audio file"),
        ("empty.mp3", b"", "empty"),
        ("short.wav", None, "too short"),
    ],
)
def test_bad_files_get_a_sentence_and_the_server_still_serves(client, songs, tmp_path, name, content, words):
    path = tmp_path / name
    if content is None:
        soundfile.write(path, np.full(100, 0.1), RATE)
    else:
        path.write_bytes(content)
    with pytest.raises(AppError, match=words):
        client.predict(handle_file(str(path)), api_name="/classify")
    assert client.predict(handle_file(songs[0]), api_name="/classify")["file"] == "song00.wav"


@pytest.mark.parametrize("options", [{"vote": "loudest"}, {"checkpoint": "../default"}, {"overlap": 1.5}])
def test_bad_options_are_refused(client, songs, options):
    with pytest.raises(AppError):
        client.predict(handle_file(songs[0]), **options, api_name="/classify")


def test_no_audio_is_said(client):
    with pytest.raises(AppError, match="No audio arrived") as caught:
        client.predict(None, api_name="/classify")
    assert caught.value.title == "RequestError"
    with pytest.raises(AppError, match="No files arrived"):
        client.predict([], api_name="/classify_batch")


def test_each_listed_checkpoint_answers_and_errors_have_a_kind(client, songs, tmp_path):
    names = client.predict(api_name="/checkpoints")
    assert names[0] == "default"
    for name in names:
        assert client.predict(handle_file(songs[0]), checkpoint=name, api_name="/classify")["checkpoint"] == name
    (tmp_path / "text.wav").write_text("text")
    for options, kind in [((str(tmp_path / "text.wav"), "default"), "AudioError"), ((songs[0], "none"), "RequestError")]:
        with pytest.raises(AppError) as caught:
            client.predict(handle_file(options[0]), checkpoint=options[1], api_name="/classify")
        assert caught.value.title == kind


def test_twenty_visitors_at_once_each_get_their_own_answer(address, songs, checkpoint):
    # Without gradio's client: twenty of them take longer than the answers.
    def ask(place: str, body: bytes | None = None, kind: str = "application/json") -> str:
        request = urllib.request.Request(f"{address}/gradio_api/{place}", body, {"Content-Type": kind})
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.read().decode()

    def visit(path: str) -> dict:
        head = f'--end\r\nContent-Disposition: form-data; name="files"; filename="{Path(path).name}"\r\n\r\n'.encode()
        body = head + Path(path).read_bytes() + b"\r\n--end--\r\n"
        (uploaded,) = json.loads(ask("upload", body, "multipart/form-data; boundary=end"))
        file = {"path": uploaded, "orig_name": Path(path).name, "meta": {"_type": "gradio.FileData"}}
        values = [file, "default", "mean", None]
        event = json.loads(ask("call/classify", json.dumps({"data": values}).encode()))["event_id"]
        lines = ask(f"call/classify/{event}").splitlines()
        said, answer = [line for line in lines if line][-2:]  # after a heartbeat for each 15 s on a busy machine
        assert said == "event: complete"
        return json.loads(answer.removeprefix("data: "))[0]

    with ThreadPoolExecutor(20) as pool:
        found = list(pool.map(visit, songs))
    for path, entry in zip(songs, found, strict=True):
        with open_audio(path) as stream:
            expected = classify(stream, checkpoint)
        assert entry["file"] == Path(path).name
        assert list(entry["probabilities"].values()) == pytest.approx(list(expected.probabilities), abs=1e-5)
        assert len(entry["segments"]) == len(expected.segment_starts)


def test_no_call_skips_the_queue(address):
    for path, status in (("run/classify", 404), ("api/classify_batch", 404), ("run/checkpoints", 200)):
        assert httpx.post(f"{address}/gradio_api/{path}", json={"data": []}).status_code == status


def test_a_file_at_an_address_may_not_be_larger_than_an_upload(address, monkeypatch):
    class Sender(BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.end_headers()
            with suppress(OSError):
                self.wfile.write(bytes(5_000_000))

        def log_message(self, *_):
            pass

    async def public(host):
        return "127.0.0.1"

    monkeypatch.setattr("safehttpx.async_validate_url", public)
    monkeypatch.setattr("genre_app.ui.api.MAX_BYTES", 1_000_000, raising=False)
    with ThreadingHTTPServer(("127.0.0.1", 0), Sender) as sender:
        Thread(target=sender.serve_forever, daemon=True).start()
        file = {"path": f"http://far.example:{sender.server_port}/a.wav", "meta": {"_type": "gradio.FileData"}}
        asked = httpx.post(f"{address}/gradio_api/call/v2/classify", json={"audio": file}).json()
        answer = httpx.get(f"{address}/gradio_api/call/v2/classify/{asked['event_id']}", timeout=60).text
        sender.shutdown()
    assert "more than 1 MB" in answer


def test_uploads_over_the_limit_are_refused_over_http_on_a_space(bundled, tmp_path, monkeypatch):
    from genre_app.ui.service import MAX_BYTES

    monkeypatch.setenv("SPACE_ID", "someone/space")

    boundary = "limit"
    head = f'--{boundary}\r\nContent-Disposition: form-data; name="files"; filename="large.wav"\r\n\r\n'.encode()
    tail = f"\r\n--{boundary}--\r\n".encode()

    def body():
        yield head
        for _ in range(MAX_BYTES // 1_000_000 + 2):
            yield bytes(1_000_000)
        yield tail

    with serve_page(tmp_path) as address:
        request = urllib.request.Request(
            f"{address}/gradio_api/upload",
            data=body(),
            headers={
                "Content-Type": f"multipart/form-data; boundary={boundary}",
                "Content-Length": str(len(head) + len(tail) + (MAX_BYTES // 1_000_000 + 2) * 1_000_000),
            },
        )
        with pytest.raises((urllib.error.HTTPError, urllib.error.URLError, ConnectionError)) as refused:
            urllib.request.urlopen(request, timeout=60)
    if isinstance(refused.value, urllib.error.HTTPError):
        assert refused.value.code == 413
        refused.value.close()


def fetch_json(url: str):
    with urllib.request.urlopen(url, timeout=30) as answer:
        return json.load(answer)


def test_mcp_offers_three_tools_with_descriptions(address):
    tools = {tool["name"]: tool for tool in fetch_json(f"{address}/gradio_api/mcp/schema")}
    assert len(tools) == 3
    (listing,) = (tools.pop(name) for name in list(tools) if name.endswith("checkpoints"))
    assert "trained models" in listing["description"]
    for name, tool in tools.items():
        assert name.endswith(("classify", "classify_batch"))
        assert "genre" in tool["description"]
        properties = tool["inputSchema"]["properties"]
        assert set(properties) >= {"checkpoint", "vote"}
        assert all(len(entry.get("description", "")) > 15 for entry in properties.values()), properties
        assert "enum" not in properties["checkpoint"]  # runs that are trained later can be named too


def test_a_tool_takes_several_files(address, songs):
    files = [f"data:audio/wav;base64,{base64.b64encode(Path(song).read_bytes()).decode()}" for song in songs[:2]]
    call = {"method": "tools/call", "params": {"name": "classify_batch", "arguments": {"files": files}}}
    headers = {"Accept": "application/json, text/event-stream"}
    told = httpx.post(f"{address}/gradio_api/mcp/", headers=headers, json={"jsonrpc": "2.0", "id": 1, **call}, timeout=60)
    (line,) = (line for line in told.text.splitlines() if line.startswith("data: "))
    result = json.loads(line.removeprefix("data: "))["result"]
    assert not result["isError"]
    assert result["content"][0]["text"].count("'probabilities'") > 2


def test_named_endpoints_document_their_parameters(address):
    endpoints = fetch_json(f"{address}/gradio_api/info")["named_endpoints"]
    assert set(endpoints) == {"/classify", "/classify_batch", "/checkpoints"}
    parameters = {p["parameter_name"]: p for p in endpoints["/classify"]["parameters"]}
    assert list(parameters) == ["audio", "checkpoint", "vote", "overlap"]
    assert [parameters[name]["parameter_has_default"] for name in parameters] == [False, True, True, True]
