"""A server that answers JSON as an engine's interface does, by method and path."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest


class StandIn:
    """What is answered, and what was asked.

    Attributes:
        answers: By ``METHOD /path`` without the query: JSON, or a status and JSON, or a list of
            which each answer is given once and the last for ever.
        asked: Each request: its method and path, its query, and its body.
        url: Where it is.
    """

    def __init__(self, url: str) -> None:
        self.answers: dict[str, Any] = {}
        self.asked: list[tuple[str, str, Any]] = []
        self.url = url

    def answer(self, request: str, query: str, body: Any) -> tuple[int, Any]:
        self.asked.append((request, query, body))
        found = self.answers.get(request, (404, {"errors": [f"no {request}"], "error": {}}))
        if isinstance(found, list):
            found = found.pop(0) if len(found) > 1 else found[0]
        return found if isinstance(found, tuple) else (200, found)


class _Handler(BaseHTTPRequestHandler):
    server: Any

    def _do(self) -> None:
        size = int(self.headers.get("content-length") or 0)
        sent = self.rfile.read(size)
        path, _, query = self.path.partition("?")
        body = json.loads(sent) if sent else None
        status, told = self.server.stand_in.answer(f"{self.command} {path}", query, body)
        data = json.dumps(told).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    do_GET = _do  # noqa: N815
    do_POST = _do  # noqa: N815
    do_PUT = _do  # noqa: N815
    do_PATCH = _do  # noqa: N815

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def stand_in() -> Iterator[StandIn]:
    server: Any = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    server.stand_in = StandIn(f"http://127.0.0.1:{server.server_port}")
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server.stand_in
    server.shutdown()
    server.server_close()


@pytest.fixture(autouse=True)
def jobs_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("QUORUM_JOBS", str(tmp_path / "jobs"))
    return tmp_path / "jobs"
