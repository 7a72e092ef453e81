"""What a start on Flink refuses before anything is handed over."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from typing import Any

import pytest

from quorum.core.errors import ConfigurationError, EngineUnavailable
from quorum.pipeline.flink import session
from quorum.pipeline.flink.options import FlinkOptions
from quorum.pipeline.flink.session import flink_session

AT = "jobmanager:8081"


@pytest.fixture(autouse=True)
def cluster(monkeypatch: pytest.MonkeyPatch) -> None:
    """A cluster that has all that a job needs."""
    monkeypatch.setattr(session.FlinkCluster, "check", lambda *_, **__: None)
    monkeypatch.setattr(session.FlinkCluster, "version", lambda _: "1.19.0")


@pytest.fixture
def silent(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Something that listens, and answers nobody."""
    monkeypatch.setattr(session, "_SECONDS", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as made:
        yield f"127.0.0.1:{made.getsockname()[1]}"


def start(**options: Any) -> None:
    with flink_session(FlinkOptions(**options)):
        pytest.fail("it cannot have started")


@pytest.mark.parametrize("pool", ["pool", "pool:", "pool:0", "pool:99999"])
def test_a_pool_without_a_port_is_refused_though_it_cannot_be_seen_from_here(pool: str) -> None:
    with pytest.raises(ConfigurationError, match=f"{pool} is no address; give HOST:PORT"):
        start(master=AT, pool=pool)


def test_what_is_no_job_server_is_told_and_not_waited_for(silent: str) -> None:
    with pytest.raises(EngineUnavailable, match=f"{silent} does not answer as Beam's job server"):
        start(master=AT, pool="pool:50000", job_endpoint=silent)


def test_tls_needs_a_job_server_that_speaks_it() -> None:
    with pytest.raises(ConfigurationError, match="--job-endpoint"):
        start(master=f"https://{AT}", pool="pool:50000")
