from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from quorum.store.ledger import Ledger
from tests.apps.web.doubles import POLICY
from tests.pipeline.batch.runs import ensemble, spec


@pytest.fixture(autouse=True)
def _with_doubles(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    policy = tmp_path / "policy.yaml"
    policy.write_text(POLICY.text)
    monkeypatch.setattr("quorum.pipeline.batch.run.ensemble_of", lambda *_: spec(ensemble()))
    monkeypatch.setenv("QUORUM_DATABASE", f"sqlite:///{tmp_path}/ledger.db")
    monkeypatch.delenv("QUORUM_SOURCE", raising=False)
    monkeypatch.setenv("TEST_POLICY", str(policy))
    monkeypatch.setattr("quorum.apps.cli.options.configure_logs", lambda *_: None)


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    with Ledger(f"sqlite:///{tmp_path}/ledger.db", create=True) as made:
        yield made
