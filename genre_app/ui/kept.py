"""Keeps the page's own description, compressed, so that many visitors can come at the same time.

gradio copies the description of all components and writes it as JSON for each visitor. That took 0.1 s, and 50 visitors at once
then waited longer than the 5 s after which gradio_client gives up (measured on two busy cores). The description has 0.76 MB,
more than all compressed scripts and styles of the page together, and 0.08 MB with gzip. gradio does not compress it.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict

from starlette.middleware.gzip import GZipMiddleware
from starlette.types import ASGIApp, Message, Receive, Scope, Send

_PATHS = ("/", "/config")
_MOST = 16  # descriptions of up to 0.8 MB, one for each way to address the page
_PERSONAL = (b"cookie", b"authorization")
# A proxy tells these of each visitor; the page does not depend on them.
_IRRELEVANT = (b"user-agent", b"sec-", b"x-forwarded-for", b"x-real-ip", b"x-request-id", b"x-amzn-", b"cf-")

_Key = tuple[str, bytes, tuple[tuple[bytes, bytes], ...]]


class Kept:
    """ASGI middleware that computes the page and its description once for all visitors who are not signed in.

    Parameters
    ----------
    app : ASGIApp
        The page.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._compressed = GZipMiddleware(app)
        self._lock = asyncio.Lock()  # visitors who come at the same time wait for one answer
        self._kept: OrderedDict[_Key, list[Message]] = OrderedDict()  # the least recently used first

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the answer that was computed before, or pass the request on."""
        key = _key(scope)
        if key is None:
            await self._app(scope, receive, send)
            return
        for message in await self._answer(key, scope, receive):
            await send(message)

    async def _answer(self, key: _Key, scope: Scope, receive: Receive) -> list[Message]:
        async with self._lock:
            found = self._kept.pop(key, None)
            if found is None:
                found = []

                async def record(message: Message) -> None:
                    found.append(message)

                await self._compressed(scope, receive, record)
            if _is_same_for_all(found):
                self._kept[key] = found
                if len(self._kept) > _MOST:
                    self._kept.popitem(last=False)
            return found


def _key(scope: Scope) -> _Key | None:
    """Return what the answer depends on; None if it is another visitor's for each, or not the page's description."""
    if scope["type"] != "http" or scope["method"] != "GET" or scope["path"] not in _PATHS:
        return None
    headers = tuple(sorted((name, value) for name, value in scope["headers"] if not name.startswith(_IRRELEVANT)))
    if any(name in _PERSONAL for name, _ in headers):
        return None
    return scope["path"], scope["query_string"], headers


def _is_same_for_all(messages: list[Message]) -> bool:
    start = messages[0]
    return start["status"] == 200 and all(name != b"set-cookie" for name, _ in start["headers"])
