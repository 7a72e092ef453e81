"""Errors of MLflow's client become one sentence without credentials."""

from __future__ import annotations

import base64
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

pytest.importorskip("mlflow", reason="needs quorum-moderation[mlflow]")

from quorum.core.errors import ConfigurationError, EngineUnavailable, QuorumError
from quorum.models.registry.mlflow_client import registry_address
from quorum.models.registry.mlflow_promotion import versions

SECRET = "s3cret-word"


class Server(BaseHTTPRequestHandler):
    status = 200
    body = b""

    def do_GET(self) -> None:
        given = self.headers.get("authorization", "")
        assert base64.b64encode(f"me:{SECRET}".encode()).decode() in given
        self.send_response(self.status)
        self.send_header("content-length", str(len(self.body)))
        self.end_headers()
        self.wfile.write(self.body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[type[Server]]:
    class Mine(Server):
        pass

    made = HTTPServer(("127.0.0.1", 0), Mine)
    thread = threading.Thread(target=made.serve_forever, daemon=True)
    thread.start()
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{made.server_port}")
    monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", "me")
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", SECRET)
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    yield Mine
    made.shutdown()
    made.server_close()
    thread.join(5)


@pytest.mark.parametrize(
    ("status", "body", "kind", "told"),
    [
        (401, b"You are not me", ConfigurationError, "refuses these credentials .401.: set MLFLOW"),
        (403, b"Permission denied", ConfigurationError, "refuses these credentials"),
        (500, b"it broke", EngineUnavailable, "does not answer as one: too many 500"),
        (200, b"<html>a proxy's page</html>", EngineUnavailable, "does not answer as one"),
        (404, b"<html>nothing here</html>", QuorumError, "nothing here"),
        (500, SECRET.encode(), EngineUnavailable, "look at MLFLOW_TRACKING_URI"),
    ],
)
def test_each_answer_is_one_sentence(
    server: type[Server], status: int, body: bytes, kind: type[QuorumError], told: str
) -> None:
    server.status, server.body = status, body
    with pytest.raises(kind, match=told) as caught:
        versions("spam")
    assert SECRET not in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_server_that_is_away_is_told_shortly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://me:{SECRET}@127.0.0.1:1")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with pytest.raises(EngineUnavailable) as caught:
        versions("spam")
    assert str(caught.value) == (
        "the registry at http://127.0.0.1:1 cannot be reached, or does not answer as one: "
        "Failed to establish a new connection: [Errno 111] Connection refused; "
        "look at MLFLOW_TRACKING_URI"
    )
    assert registry_address() == "http://127.0.0.1:1"
