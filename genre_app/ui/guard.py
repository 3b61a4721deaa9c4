"""Refuses requests that another web site makes a visitor's browser send.

Two attacks reach a page that only this machine or a home network can open. With DNS rebinding, a foreign name such as
``evil.example`` gets this machine's address, so its page may read and call everything here; the ``Host`` header names it. A
cross-site form sends a file or a click without reading the answer; the ``Origin`` header names its site. Programs send no
``Origin``.
"""

from __future__ import annotations

import ipaddress
import os
import socket
from contextlib import suppress
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from genre_app.ui.permission import HOSTS, on_network, on_space, shares

# OPTIONS is not safe: with it, a browser asks whether another site may send headers such as ``X-Forwarded-Host``, and gradio
# would allow all of them.
_SAFE_METHODS = ("GET", "HEAD")
_DEFAULT_PORTS = {"http": 80, "https": 443}
_SHARE_DOMAIN = ".gradio.live"  # of gradio's share links


class Guard:
    """ASGI middleware that checks ``Host`` and ``Origin``, except on a Space, whose proxy sets both.

    Parameters
    ----------
    app : ASGIApp
        The page.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer 403 with a sentence, or pass the request on."""
        sentence = None if on_space() or scope["type"] != "http" else refusal(scope["method"], Headers(scope=scope))
        if sentence is None:
            await self._app(scope, receive, send)
        else:
            await PlainTextResponse(sentence, status_code=403)(scope, receive, send)


def refusal(method: str, headers: Headers) -> str | None:
    """Return a sentence on why a request is refused; None if it may pass."""
    host = headers.get("host", "")
    name = _split(host)[0]
    if not _is_known(name):
        return f"This page is not served as {name[:100]!r}. If it should be, set {HOSTS} to this name before you start it."
    origin = headers.get("origin")
    if method in _SAFE_METHODS or origin is None:
        return None
    scheme, _, site = origin.partition("://")
    if scheme in _DEFAULT_PORTS:
        port = _DEFAULT_PORTS[scheme]
        sender = _split(site, port)
        served = [_split(other, port) for other in (host, *headers.get("x-forwarded-host", "").split(","))]
        if sender[0] and (sender in served or sender[0] in _listed()):
            return None
    return "This request comes from another web site, so it is refused. Open this page itself."


def _split(host: str, default_port: int = 0) -> tuple[str, int]:
    """Return the name and the port of a Host header; an empty name if it is malformed."""
    with suppress(ValueError):
        parts = urlsplit(f"//{host.strip()}")
        return (parts.hostname or "").rstrip("."), parts.port or default_port
    return "", default_port


def _is_known(name: str) -> bool:
    """Return whether a page of this name can only be this one. Nobody can give an IP address to another machine."""
    if not name:  # it is missing or malformed
        return False
    if name == "localhost" or name in _listed():
        return True
    with suppress(ValueError):
        address = ipaddress.ip_address(name)
        return on_network() or address.is_loopback
    if not on_network():
        return False
    own = socket.gethostname().casefold()
    served = (os.environ.get("GRADIO_SERVER_NAME") or "").casefold()
    return name in (own, f"{own}.local", served) or (shares() and name.endswith(_SHARE_DOMAIN))


def _listed() -> set[str]:
    return {_split(name)[0] for name in os.environ.get(HOSTS, "").split(",") if name.strip()}
