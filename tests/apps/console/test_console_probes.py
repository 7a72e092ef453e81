"""``/health`` and ``/ready`` of the console: what its worker cannot do is told."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from quorum.aggregator.policy.policy import load_policy
from quorum.apps.console import worker as module
from quorum.apps.console.app import create_console
from quorum.apps.console.settings import ConsoleSettings
from quorum.core import health
from quorum.core.errors import EngineUnavailable
from quorum.store.ledger import Ledger, LedgerUnavailable


class Reviews:
    def publish(self, reviews: object) -> None:
        msg = "the broker is away"
        raise EngineUnavailable(msg)


def client_of(ledger: Ledger) -> TestClient:
    settings = ConsoleSettings(hosts=("testserver",))
    return TestClient(create_console(ledger, load_policy("balanced"), Reviews(), settings))


def until_status(client: TestClient, path: str, status: int) -> dict[str, object]:
    end = time.monotonic() + 20
    while (answer := client.get(path)).status_code != status:
        assert time.monotonic() < end, answer.text
        time.sleep(0.05)
    found: dict[str, object] = answer.json()
    return found


def until_problem(client: TestClient, name: str) -> None:
    end = time.monotonic() + 20
    while name not in client.get("/ready").json().get("problems", {}):
        assert time.monotonic() < end, health.problems()
        time.sleep(0.05)


@pytest.fixture(autouse=True)
def no_checks_of_other_tests(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health, "_CHECKS", {})


def test_a_console_whose_ledger_is_away_is_not_ready_until_it_is_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "LATE_SECONDS", 1.5)
    with Ledger(f"sqlite:///{tmp_path}/l.db", create=True) as ledger, client_of(ledger) as client:
        until_status(client, "/ready", 200)

        def away(*_: object, **__: object) -> None:
            msg = "no connection to db.internal"
            raise LedgerUnavailable(msg)

        with monkeypatch.context() as patched:
            patched.setattr(ledger, "transact", away)
            told = until_status(client, "/ready", 503)
            assert told == {"status": "not ready", "problems": {"queues": "see the log"}}
            assert "no connection to db.internal" in health.problems()["queues"]
            assert client.get("/health").status_code == 200
        until_status(client, "/ready", 200)


def test_decisions_that_cannot_be_published_are_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module.outbox, "stuck", lambda _connection: 3)
    monkeypatch.setattr(module, "_SYNC_SECONDS", 0.1)
    monkeypatch.setattr(module, "LATE_SECONDS", 1.5)
    with Ledger(f"sqlite:///{tmp_path}/l.db", create=True) as ledger, client_of(ledger) as client:
        # On a busy machine the queues may be late beside it.
        until_problem(client, "reviews")
        monkeypatch.setattr(module.outbox, "stuck", lambda _connection: 0)
        until_status(client, "/ready", 200)


def test_a_worker_that_ended_needs_a_restart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def end(*_: object, **__: object) -> None:
        raise SystemExit

    with Ledger(f"sqlite:///{tmp_path}/l.db", create=True) as ledger, client_of(ledger) as client:
        monkeypatch.setattr(module.outbox, "publish_due", end)
        told = until_status(client, "/health", 503)
        assert told == {"status": "restart", "problems": {"worker": "see the log"}}
