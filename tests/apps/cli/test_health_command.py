"""``quorum health`` asks the job, and tells each reason to people and to machines."""

from __future__ import annotations

import json
from collections.abc import Iterator

import httpx
import pytest
from typer.testing import CliRunner

from quorum.apps.cli.health import app
from quorum.core import health
from quorum.core.errors import QuorumError
from quorum.core.monitoring import Listen, serve
from quorum.pipeline.streams.emulator import free_port


@pytest.fixture
def port(monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """The port of a job in this process, without checks."""
    monkeypatch.setattr(health, "_CHECKS", {})
    server, thread = serve(Listen("stream", 0))
    yield server.server_port
    server.shutdown()
    server.server_close()
    thread.join(5)


def asked(port: int, *options: str) -> str:
    args = ["--metrics-port", str(port), *options]
    return CliRunner().invoke(app, args, catch_exceptions=False).output


def test_a_job_without_problems_is_ready_and_alive(port: int) -> None:
    assert asked(port) == "ok\n"
    assert asked(port, "--live") == "ok\n"
    assert json.loads(asked(port, "--json")) == {"status": "ready"}


def test_a_problem_is_told_with_its_reason(port: int) -> None:
    health.register("publishing", lambda: "the broker is away")
    with pytest.raises(QuorumError, match="not ready: publishing: the broker is away"):
        asked(port)
    answer = httpx.get(f"http://127.0.0.1:{port}/ready", trust_env=False)
    assert answer.status_code == 503
    assert answer.json() == {
        "status": "not ready",
        "problems": {"publishing": "the broker is away"},
    }
    ready = httpx.get(f"http://127.0.0.1:{port}/metrics", trust_env=False).text
    assert "quorum_ready 0.0" in ready


def test_only_what_a_restart_mends_fails_a_liveness_probe(port: int) -> None:
    health.register("publishing", lambda: "the broker is away")
    assert asked(port, "--live") == "ok\n"
    assert httpx.get(f"http://127.0.0.1:{port}/live", trust_env=False).status_code == 200
    health.register("engine", lambda: "it stands still", restart_helps=True)
    with pytest.raises(QuorumError, match="restart: engine: it stands still"):
        asked(port, "--live")
    answer = httpx.get(f"http://127.0.0.1:{port}/live", trust_env=False)
    assert (answer.status_code, answer.json()["problems"]) == (503, {"engine": "it stands still"})


def test_no_job_is_no_health() -> None:
    with pytest.raises(QuorumError, match="no job answers on"):
        asked(free_port())
