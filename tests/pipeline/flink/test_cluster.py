"""Whether a job can start on a cluster, by what its REST interface answers."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar

import pytest

from quorum.core.errors import ConfigurationError, EngineUnavailable
from quorum.pipeline.flink.cluster import FlinkCluster, is_open

GOOD = {"taskmanagers": 1, "slots-total": 2, "slots-available": 1, "jobs-running": 1}
KEPT = [{"key": "state.checkpoints.dir", "value": "s3://x"}]


class Rest(BaseHTTPRequestHandler):
    answers: ClassVar[dict[str, Any]] = {}

    def do_GET(self) -> None:
        found = self.answers.get(self.path, {})
        status, told = found if isinstance(found, tuple) else (200, found)
        data = told if isinstance(told, bytes) else json.dumps(told).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def rest() -> Iterator[FlinkCluster]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Rest)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield FlinkCluster.at(f"127.0.0.1:{server.server_port}")
    server.shutdown()
    server.server_close()


def test_a_cluster_with_a_slot_and_checkpoints_will_do(rest: FlinkCluster) -> None:
    Rest.answers = {
        "/overview": {**GOOD, "flink-version": "1.19.0"},
        "/jobmanager/config": KEPT,
    }
    rest.check(allow_loss=False)
    assert rest.version() == "1.19.0"


@pytest.mark.parametrize(
    ("overview", "told"),
    [
        ({**GOOD, "taskmanagers": 0}, "no TaskManager"),
        ({**GOOD, "slots-available": 0}, "no free slot: 2 in all, 1 jobs"),
        ([], "what answers is no JobManager"),
        ({"status": "UP"}, "what answers is no JobManager"),
        (b"SSH-2.0-OpenSSH", "no JSON"),
        ((401, b"<html>"), r"\(HTTP 401 Unauthorized\)"),
        ((404, {"detail": "Not Found"}), r"\(HTTP 404 Not Found\)"),
        # A JobManager that starts, or the next one after a loss.
        ((503, {"errors": ["No leader yet."]}), "answers: No leader yet"),
    ],
)
def test_what_a_cluster_lacks_is_named(rest: FlinkCluster, overview: Any, told: str) -> None:
    Rest.answers = {"/overview": overview, "/jobmanager/config": KEPT}
    with pytest.raises(EngineUnavailable, match=told) as raised:
        rest.check(allow_loss=False)
    assert "\n" not in str(raised.value)


def test_a_password_in_the_address_is_refused_unquoted() -> None:
    with pytest.raises(ConfigurationError, match="no user and no password") as raised:
        FlinkCluster.at("https://me:hunter2@jobmanager:8081")
    assert "hunter2" not in str(raised.value)


@pytest.mark.parametrize("config", [[], [{"key": "state.checkpoints.dir", "value": ""}]])
def test_a_cluster_that_keeps_no_checkpoints_is_refused_or_accepted_in_words(
    rest: FlinkCluster, config: list[dict[str, str]]
) -> None:
    Rest.answers = {"/overview": GOOD, "/jobmanager/config": config}
    with pytest.raises(ConfigurationError, match="--flink-allow-loss"):
        rest.check(allow_loss=False)
    rest.check(allow_loss=True)


@pytest.mark.parametrize("master", ["127.0.0.1:1", "http://127.0.0.1:1/", "no such host:1", "x"])
def test_no_cluster_is_named_with_the_mend(master: str) -> None:
    with pytest.raises(EngineUnavailable, match="--flink-master"):
        FlinkCluster.at(master).version()


@pytest.mark.parametrize(
    "address",
    ["here", ":1", "host:port", "host:", "host:0", "host:65536", f"{'a' * 64}.b:1"],
)
def test_what_is_no_address_is_refused(address: str) -> None:
    with pytest.raises(ConfigurationError, match="is no address"):
        is_open(address)
    assert not is_open("127.0.0.1:1")
