"""``/ready`` of the web service: each problem by name, its reason for who may know it."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from httpx import Response

from quorum.apps.http.keys import new_key, read_keys
from quorum.apps.web.app import create_app
from quorum.core import health
from quorum.models.ensemble import Ensemble
from quorum.store import writer
from quorum.store.ledger import Ledger
from tests.apps.web.doubles import POLICY, Slow, Words


@pytest.fixture(autouse=True)
def no_checks(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(health, "_CHECKS", {})
    yield


def ensemble() -> Ensemble:
    return Ensemble.of([Words(), Slow()])


def answered(client: TestClient, status: int) -> Response:
    """The first answer with this status."""
    for _ in range(400):
        told = client.get("/ready")
        if told.status_code == status:
            return told
        time.sleep(0.05)
    raise AssertionError(told.text)


def test_a_problem_is_told_by_name_and_reason() -> None:
    with TestClient(create_app(POLICY, ensemble())) as client:
        assert client.get("/ready").json() == {"status": "ready"}
        end = health.register("detector words", lambda: "its breaker is open")
        told = client.get("/ready")
        assert told.status_code == 503
        assert told.json()["detail"] == "not ready: detector words"
        assert told.json()["problems"] == {"detector words": "its breaker is open"}
        # A restart does not help against it.
        assert client.get("/health").status_code == 200
        end()
        assert client.get("/ready").status_code == 200
        health.register("worker", lambda: "it ended", restart_helps=True)
        assert client.get("/health").status_code == 503


def test_only_keys_for_metrics_learn_the_reason(tmp_path: Path) -> None:
    secret, line = new_key("probe", frozenset({"metrics"}))
    other, other_line = new_key("shop", frozenset({"moderate"}))
    (tmp_path / "keys").write_text(f"{line}\n{other_line}\n")
    app = create_app(POLICY, ensemble(), keys=read_keys(tmp_path / "keys"))
    with TestClient(app) as client:
        health.register("ledger", lambda: "postgres.internal does not answer")
        for headers in ({}, {"x-api-key": other}):
            told = client.get("/ready", headers=headers)
            assert told.status_code == 503
            assert told.json()["problems"] == {"ledger": "see the log"}
            assert "internal" not in told.text
        told = client.get("/ready", headers={"x-api-key": secret})
        assert told.json()["problems"] == {"ledger": "postgres.internal does not answer"}


def test_an_upload_that_waits_beyond_its_deadline_is_a_problem(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with TestClient(create_app(POLICY, ensemble())) as client:
        service = client.app.state.quorum.service  # type: ignore[attr-defined]
        now = [1_000.0]
        monkeypatch.setattr("quorum.apps.web.service.time.monotonic", lambda: now[0])
        service._began = {object(): 1_000.0}
        now[0] += POLICY.deadline + 5
        assert client.get("/ready").status_code == 200
        now[0] += 6
        told = client.get("/ready").json()["problems"]["uploads"]
        assert f"the policy's deadline is {POLICY.deadline:g} s" in told
        service._began.clear()


def test_a_ledger_that_answers_too_slowly_is_a_problem(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer, "LAG_SECONDS", 0.2)
    go_on = threading.Event()
    with Ledger(f"sqlite:///{tmp_path}/l.db", create=True) as ledger:
        real = ledger.record

        def record(messages):  # type: ignore[no-untyped-def]
            assert go_on.wait(20)
            real(messages)

        ledger.record = record  # type: ignore[method-assign]
        with TestClient(create_app(POLICY, ensemble(), ledger=ledger)) as client:
            upload = {
                "id": "u1",
                "uploader": "b",
                "title": "ok",
                "published_at": "2026-01-31T12:00:00Z",
            }
            assert client.post("/v1/moderate", json=upload).status_code == 200
            told = answered(client, 503)
            assert "it takes too long" in told.json()["problems"]["ledger"]
            go_on.set()
            answered(client, 200)
