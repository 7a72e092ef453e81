from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from quorum.apps.cli.ledger import app
from quorum.core.errors import ConfigurationError
from quorum.store.ledger import Ledger
from tests.store.ledger.messages_for_ledger import upload, verdict


@pytest.fixture
def database(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    url = f"sqlite:///{tmp_path}/l.db"
    monkeypatch.setenv("QUORUM_DATABASE", url)
    return url


def run(*args: str) -> str:
    done = CliRunner().invoke(app, args, catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.output


def test_init_once_then_migrate(database: str) -> None:
    assert "revision" in run("init")
    with pytest.raises(ConfigurationError, match="quorum ledger migrate"):
        run("init")
    assert "is at" in run("migrate")


def test_migrate_can_show_its_statements(database: str) -> None:
    assert "CREATE TABLE verdicts" in run("migrate", "--dry-run")
    with pytest.raises(ConfigurationError, match="init"):
        run("stats")


def test_destructive_verbs_count_first(database: str) -> None:
    with Ledger(database, create=True) as ledger:
        ledger.record([upload(1), verdict(1), upload(2)])
        assert "3 rows would go; add --yes" in run("forget", "by-1")
        assert ledger.stats()["uploads"] == 2
        assert "rows taken" in run("forget", "by-1", "--yes")
        assert ledger.stats()["uploads"] == 1
        assert "add --yes" in run("prune", "--keep", "30")
        assert "rows taken" in run("prune", "--keep", "30", "--yes")
        assert ledger.stats()["cases"] == 0
    assert "uploads" in run("stats")
