"""Requests that other web sites make a visitor's browser send."""

from __future__ import annotations

import socket
from urllib.parse import urlsplit

import httpx
import pytest
from starlette.datastructures import Headers

from genre_app.errors import GenreAppError
from genre_app.ui import permission
from genre_app.ui.guard import refusal
from tests.conftest import serve_page

LAN = {"GRADIO_SERVER_NAME": "0.0.0.0"}
LISTED = {"GENRE_APP_HOSTS": "music.example, other.example:8443"}


@pytest.mark.parametrize(
    ("environment", "host", "known"),
    [
        ({}, "127.0.0.1:7860", True),
        ({}, "localhost", True),
        ({}, "LOCALHOST.:7860", True),
        ({}, "[::1]:7860", True),
        ({}, "evil.example", False),
        ({}, "127.0.0.1.evil.example:7860", False),
        ({}, "192.168.1.7:7860", False),
        ({}, "", False),
        ({}, "[", False),
        ({}, "a:b:c", False),
        (LAN, "192.168.1.7:7860", True),
        (LAN, f"{socket.gethostname()}.local:7860", True),
        (LAN, "evil.example:7860", False),
        (LAN, "a.gradio.live", False),
        ({"GRADIO_SHARE": "true"}, "a.gradio.live", True),
        (LISTED, "music.example", True),
        (LISTED, "other.example", True),
        (LISTED, "evil.example", False),
        (LISTED, "", False),
        (LISTED, "[", False),
    ],
)
def test_a_foreign_name_is_refused(monkeypatch, environment, host, known):
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    refused = refusal("GET", Headers({"host": host}))
    assert (refused is None) is known
    assert known or "GENRE_APP_HOSTS" in refused


@pytest.mark.parametrize(
    ("environment", "headers", "same"),
    [
        ({}, {"origin": "http://localhost:7860"}, True),
        ({}, {}, True),
        ({}, {"origin": "http://evil.example"}, False),
        ({}, {"origin": "http://localhost:8000"}, False),  # another program of this machine
        ({}, {"origin": "null"}, False),
        ({}, {"origin": "http://["}, False),
        ({}, {"origin": "file://localhost:7860"}, False),
        ({}, {"origin": "https://music.example", "x-forwarded-host": "music.example"}, True),
        ({}, {"origin": "https://evil.example", "x-forwarded-host": "music.example"}, False),
        (LISTED, {"origin": "https://music.example"}, True),
    ],
)
def test_another_site_may_send_nothing(monkeypatch, environment, headers, same):
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    headers = Headers({"host": "localhost:7860", **headers})
    assert (refusal("POST", headers) is None) is same
    assert refusal("GET", headers) is None


def test_another_site_may_not_ask_which_headers_it_may_send(monkeypatch):
    """gradio allows it all headers of a page in a network, and a made-up name of a proxy would let it send anything."""
    for name, value in LAN.items():
        monkeypatch.setenv(name, value)
    host = {"host": "192.168.1.7:7860"}
    assert refusal("OPTIONS", Headers(host)) is None
    assert refusal("OPTIONS", Headers({**host, "origin": "http://192.168.1.7:7860"})) is None
    assert refusal("OPTIONS", Headers({**host, "origin": "http://evil.example"}))


@pytest.mark.parametrize(
    ("port", "origin"), [(":443", "https://localhost"), ("", "https://localhost"), (":80", "http://localhost")]
)
def test_the_usual_port_may_be_left_out(port, origin):
    assert refusal("POST", Headers({"host": f"localhost{port}", "origin": origin})) is None


def upload(address: str, **headers: str) -> httpx.Response:
    return httpx.post(f"{address}/gradio_api/upload", files={"files": ("a.wav", b"RIFF")}, headers=headers)


def test_the_served_page_refuses_both(address):
    assert httpx.get(address).status_code == 200
    rebound = httpx.get(address, headers={"host": f"evil.example:{urlsplit(address).port}"})
    assert rebound.status_code == 403
    assert "evil.example" in rebound.text
    assert upload(address).status_code == 200
    assert upload(address, origin=address).status_code == 200
    refused = upload(address, origin="http://evil.example")
    assert refused.status_code == 403
    assert "another web site" in refused.text


def test_with_a_login_nothing_works_without_it(bundled, tmp_path, monkeypatch):
    monkeypatch.setenv(permission.LOGIN, "ada:long enough")
    monkeypatch.setenv("GRADIO_SERVER_NAME", "0.0.0.0")
    assert permission.refusal(None) is None
    with serve_page(tmp_path) as address:
        assert upload(address).status_code == 401
        for path in ("config", "gradio_api/info"):
            assert httpx.get(f"{address}/{path}").status_code == 401
        joined = {"data": [], "fn_index": 0, "session_hash": "a"}
        assert httpx.post(f"{address}/gradio_api/queue/join", json=joined).status_code == 401
        assert httpx.get(f"{address}/gradio_api/mcp/schema").status_code == 404
        with httpx.Client(base_url=address) as client:
            wrong = client.post("/login", data={"username": "ada", "password": "wrong"})
            assert wrong.status_code == 400
            assert client.post("/login", data={"username": "ada", "password": "long enough"}).status_code == 200
            assert client.get("/config").status_code == 200


@pytest.mark.parametrize("value", ["ada", "ada:", ":long enough", "ada:short"])
def test_a_login_needs_a_name_and_a_password(monkeypatch, value):
    monkeypatch.setenv(permission.LOGIN, value)
    with pytest.raises(GenreAppError, match="NAME:PASSWORD"):
        permission.login()
