"""When ``quorum stream`` and ``quorum decide`` look up uploaders' histories."""

from __future__ import annotations

from pathlib import Path

import pytest

from quorum.aggregator.policy.policy import load_policy
from quorum.apps.cli.running import has_histories
from quorum.core.errors import ConfigurationError
from quorum.store.ledger import Ledger

STRICT, BALANCED = load_policy("strict"), load_policy("balanced")


@pytest.fixture(autouse=True)
def _no_database(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("QUORUM_DATABASE", raising=False)


def test_only_where_a_rule_asks_and_there_is_a_ledger(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    url = f"sqlite:///{tmp_path}/ledger.db"
    Ledger(url, create=True).close()
    assert has_histories(url, STRICT)
    assert has_histories(url, BALANCED, STRICT)
    assert not has_histories(url, BALANCED)
    with caplog.at_level("INFO"):
        assert not has_histories(None, STRICT)
    assert "nobody has strikes" in caplog.text
    monkeypatch.setenv("QUORUM_DATABASE", url)
    assert has_histories(None, STRICT)
    assert not has_histories(None, BALANCED)


def test_a_ledger_that_is_not_there_is_told_at_the_start(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="quorum ledger init"):
        has_histories(f"sqlite:///{tmp_path}/none.db", STRICT)
    assert not (tmp_path / "none.db").exists()


def test_a_ledger_that_is_away_may_come_back(caplog: pytest.LogCaptureFixture) -> None:
    pytest.importorskip("psycopg", reason="needs quorum-moderation[postgres]")
    assert has_histories("postgresql://nobody@127.0.0.1:1/none", STRICT)
    assert "histories are unknown" in caplog.text
