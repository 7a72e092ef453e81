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
        data = json.dumps(self.answers.get(self.path, {})).encode()
        self.send_response(200)
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
        ({}, "no TaskManager"),
    ],
)
def test_what_a_cluster_lacks_is_named(
    rest: FlinkCluster, overview: dict[str, Any], told: str
) -> None:
    Rest.answers = {"/overview": overview, "/jobmanager/config": KEPT}
    with pytest.raises(EngineUnavailable, match=told):
        rest.check(allow_loss=False)


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


@pytest.mark.parametrize("address", ["here", ":1", "host:port", "host:"])
def test_what_is_no_address_is_refused(address: str) -> None:
    with pytest.raises(ConfigurationError, match="HOST:PORT"):
        is_open(address)
    assert not is_open("127.0.0.1:1")
