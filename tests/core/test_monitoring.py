"""Metrics, health and readiness on a port of their own: who may read what."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from quorum.apps.cli.options import MetricsOptions
from quorum.apps.http.keys import new_key
from quorum.core import health, monitoring
from quorum.core.errors import ConfigurationError
from quorum.core.monitoring import Listen

Serve = Callable[[Listen], httpx.Client]


@pytest.fixture
def served() -> Iterator[Serve]:
    """Serve on a free port; a client of it."""
    open_now = []

    def serve(listen: Listen) -> httpx.Client:
        server, thread = monitoring.serve(listen)
        client = httpx.Client(base_url=f"http://127.0.0.1:{server.server_port}", trust_env=False)
        open_now.append((server, thread, client))
        return client

    yield serve
    for server, thread, client in open_now:
        client.close()
        server.shutdown()
        server.server_close()
        thread.join(5)


@pytest.fixture
def sick() -> Iterator[None]:
    """A check that finds a problem whose reason names a host."""
    ends = health.register("broker", lambda: "db.internal does not answer", restart_helps=True)
    yield
    ends()


def keys(folder: Path, scope: str) -> tuple[Path, dict[str, str]]:
    secret, line = new_key("prometheus", frozenset({scope}))
    file = folder / "keys.txt"
    file.write_text(line + "\n")
    return file, {"authorization": f"Bearer {secret}"}


def test_a_process_serves_its_own_metrics_on_loopback(served: Serve) -> None:
    client = served(Listen("record", 0))
    told = client.get("/metrics").text
    assert "quorum_ready 1.0" in told
    assert "quorum_recorded_messages_total" in told
    assert "quorum_pending_uploads" not in told
    assert "process_resident_memory_bytes" in told
    accept = {"accept": "application/openmetrics-text"}
    assert client.get("/metrics", headers=accept).text.endswith("# EOF\n")
    assert client.get("/other").status_code == 404


@pytest.mark.usefixtures("sick")
def test_health_and_readiness_tell_the_reason_on_this_machine(served: Serve) -> None:
    client = served(Listen("record", 0))
    for path, status in (("/ready", "not ready"), ("/health", "restart"), ("/live", "restart")):
        answer = client.get(path)
        assert answer.status_code == 503
        assert answer.json() == {
            "status": status,
            "problems": {"broker": "db.internal does not answer"},
        }
    assert "quorum_ready 0.0" in client.get("/metrics").text


@pytest.mark.usefixtures("sick")
def test_others_are_told_the_check_and_not_the_reason(served: Serve, tmp_path: Path) -> None:
    file, key = keys(tmp_path, "metrics")
    host = _own_address()
    listen = MetricsOptions(0, host, file).listen("detect")
    server = served(listen)
    url = f"http://{host}:{server.base_url.port}"
    with httpx.Client(base_url=url, trust_env=False) as others:
        assert others.get("/metrics").status_code == 401
        assert others.get("/metrics", headers=key).status_code == 200
        assert others.get("/ready").json()["problems"] == {"broker": "see the log"}
        told = others.get("/ready", headers=key).json()["problems"]
        assert told == {"broker": "db.internal does not answer"}


def test_a_key_without_the_scope_reads_no_metrics(served: Serve, tmp_path: Path) -> None:
    file, key = keys(tmp_path, "moderate")
    client = served(MetricsOptions(0, metrics_keys=file).listen("stream"))
    assert client.get("/metrics", headers=key).status_code == 401
    assert client.get("/ready").status_code == 200


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.1.2.3", "quorum.example"])
def test_an_address_that_others_reach_needs_a_key(
    host: str, caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(ConfigurationError, match="--metrics-keys"):
        MetricsOptions(9464, host).listen("stream")
    assert MetricsOptions(None, host).listen("stream") is None
    made = MetricsOptions(9464, host, open_metrics=True).listen("stream")
    assert made == Listen("stream", 9464, host, None)
    assert "may read the metrics" in caplog.text


def test_a_port_that_is_taken_is_an_error(served: Serve) -> None:
    port = served(Listen("stream", 0)).base_url.port
    with pytest.raises(ConfigurationError, match=f"127.0.0.1:{port}: Address already in use"):
        monitoring.start(Listen("stream", port))


def test_a_client_that_sends_nothing_holds_up_no_other(served: Serve) -> None:
    client = served(Listen("stream", 0))
    port = client.base_url.port
    silent = [socket.create_connection(("127.0.0.1", port)) for _ in range(20)]
    assert client.get("/ready").status_code == 200
    for one in silent:
        one.close()


def _own_address() -> str:
    """An address of this machine that is not loopback."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))  # of documentation; nothing is sent
        except OSError:
            pytest.skip("this machine has no address but loopback")
        address: str = probe.getsockname()[0]
        return address
