"""A stand-in for the Hugging Face hub: models in memory, and as much of its HTTP language as its client needs."""

from __future__ import annotations

import base64
import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest


class Hub:
    """Repositories with the files of their commits; the latest commit is ``main``."""

    def __init__(self) -> None:
        self.commits: dict[str, dict[str, dict[str, bytes]]] = {}  # repository -> revision -> path -> content
        self.address = ""
        self.requests: list[tuple[str, str]] = []
        self.tokens: set[str | None] = set()

    def commit(self, repository: str, files: dict[str, bytes]) -> str:
        """Add a commit and return its revision."""
        commits = self.commits.setdefault(repository, {})
        revision = hashlib.sha1(f"{repository} {len(commits)}".encode()).hexdigest()
        commits[revision] = {**(commits[list(commits)[-1]] if commits else {}), **files}
        return revision

    def post(self, path: str, body: bytes) -> tuple[int, Any]:
        """Answer a POST request: create a repository, judge a card, plan an upload, or commit."""
        if path == "/api/repos/create":
            wanted = json.loads(body)
            name = f"{wanted['organization']}/{wanted['name']}"
            status = 409 if name in self.commits else 200
            self.commits.setdefault(name, {})
            return status, {"url": f"{self.address}/{name}", "name": name, "id": name}
        if path == "/api/validate-yaml":
            return 200, {"errors": [], "warnings": []}
        repository = "/".join(path.split("/")[3:5])
        if "/preupload/" in path:
            files = [{"path": file["path"], "uploadMode": "regular"} for file in json.loads(body)["files"]]
            return 200, {"files": [{**file, "shouldIgnore": False} for file in files]}
        lines = [json.loads(line) for line in body.splitlines()]
        files = {line["value"]["path"]: base64.b64decode(line["value"]["content"]) for line in lines if line["key"] == "file"}
        revision = self.commit(repository, files)
        return 200, {"success": True, "commitOid": revision, "commitUrl": f"{self.address}/{repository}/commit/{revision}"}

    def file(self, path: str) -> tuple[str, bytes] | str:
        """Return revision and content for ``/OWNER/NAME/resolve/REVISION/FILE``, or the hub's code of the error."""
        _, owner, name, what, revision, *rest = [*path.split("?")[0].split("/"), "", "", ""]
        if what != "resolve":
            return "EntryNotFound"
        commits = self.commits.get(f"{owner}/{name}")
        if commits is None:
            return "RepoNotFound"
        revision = list(commits)[-1] if revision == "main" else revision
        if revision not in commits:
            return "RevisionNotFound"
        content = commits[revision].get("/".join(rest).rstrip("/"))
        return "EntryNotFound" if content is None else (revision, content)


@contextmanager
def serve(patch: pytest.MonkeyPatch, cache: Path) -> Iterator[Hub]:
    """Run the stand-in, and point the hub's client to it and to an empty cache."""
    hub = Hub()

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

        def answer(self, status: int, body: bytes, **headers: str) -> None:
            self.send_response(status)
            for name, value in {"Content-Length": str(len(body)), **headers}.items():
                self.send_header(name.replace("_", "-"), value)
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

        def do_HEAD(self) -> None:
            hub.requests.append((self.command, self.path))
            found = hub.file(self.path)
            if isinstance(found, str):
                return self.answer(404, b"{}", X_Error_Code=found)
            revision, content = found
            return self.answer(200, content, ETag=f'"{hashlib.sha1(content).hexdigest()}"', X_Repo_Commit=revision)

        def do_GET(self) -> None:
            self.do_HEAD()

        def do_POST(self) -> None:
            hub.requests.append((self.command, self.path))
            hub.tokens.add(self.headers["Authorization"])
            status, answer = hub.post(self.path, self.rfile.read(int(self.headers["Content-Length"])))
            self.answer(status, json.dumps(answer).encode(), Content_Type="application/json")

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as httpd:
        thread = threading.Thread(target=httpd.serve_forever, args=(0.05,))
        thread.start()
        address, template = f"http://127.0.0.1:{httpd.server_port}", "/{repo_id}/resolve/{revision}/{filename}"
        hub.address = address
        patch.setattr("huggingface_hub.constants.ENDPOINT", address)
        patch.setattr("huggingface_hub.constants.HUGGINGFACE_CO_URL_TEMPLATE", address + template)
        patch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(cache))
        yield hub
        httpd.shutdown()
        thread.join()
