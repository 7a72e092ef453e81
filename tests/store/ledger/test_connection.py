from __future__ import annotations

import threading
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import create_engine, text
from typer.testing import CliRunner

from quorum.apps.cli.ledger import app
from quorum.core.errors import ConfigurationError, QuorumError
from quorum.models.copyright.catalogue.tables import metadata as catalogue
from quorum.models.known.tables import metadata as known
from quorum.pipeline.batch.sources import TableBatch
from quorum.store.ledger import (
    Ledger,
    LedgerOutdated,
    LedgerUnavailable,
    TimeRange,
    database_url,
    redacted,
)
from quorum.store.ledger.revisions import migration_sql, wanted_revision
from quorum.store.ledger.schema import metadata
from tests.store.ledger.messages_for_ledger import upload, verdict
from tests.store.ledger.postgres_server import running


def test_migrations_make_the_tables_of_the_schema(url: str) -> None:
    Ledger(url, create=True).close()
    engine = create_engine(database_url(url))
    with engine.connect() as connection:
        # The indexes of words are made by the migration alone: FTS5's and GIN's.
        opts = {
            "compare_type": True,
            "include_object": lambda _o, name, *_: not name.startswith(("texts_", "ix_texts_w")),
        }
        context = MigrationContext.configure(connection, opts=opts)
        assert compare_metadata(context, [metadata, catalogue, known]) == []
    engine.dispose()
    with Ledger(url, create=True) as again:
        assert again.revision() == wanted_revision()


def test_migrations_print_as_sql(url: str) -> None:
    printed = migration_sql(database_url(url), None)
    assert "CREATE TABLE cases" in printed
    assert "CREATE INDEX ix_cases_action_at_upload_id" in printed


def test_an_empty_database_names_the_command(url: str) -> None:
    with pytest.raises(LedgerOutdated, match="quorum ledger init"):
        Ledger(url)


def test_a_missing_file_is_not_made(tmp_path: Path) -> None:
    with pytest.raises(LedgerOutdated, match="quorum ledger init"):
        Ledger(f"sqlite:///{tmp_path}/absent.db")
    assert not (tmp_path / "absent.db").exists()
    with pytest.raises(ConfigurationError, match="no folder"):
        Ledger(f"sqlite:///{tmp_path}/absent/l.db", create=True)


def test_a_newer_ledger_is_left_alone(url: str) -> None:
    Ledger(url, create=True).close()
    engine = create_engine(database_url(url))
    with engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    engine.dispose()
    with pytest.raises(LedgerOutdated, match="newer Quorum"):
        Ledger(url)


@pytest.mark.parametrize(
    "bad", ["mysql://u:hunter2@h/d", "hunter2", "postgresql://u:hunter2@h:port/d", "://hunter2"]
)
def test_a_wrong_url_is_told_without_its_secret(bad: str) -> None:
    with pytest.raises(ConfigurationError) as told:
        database_url(bad)
    assert "hunter2" not in str(told.value)


def test_the_url_comes_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("QUORUM_DATABASE", "postgres://me:hunter2@db.example/q?password=hunter2")
    made = database_url()
    assert made.drivername == "postgresql+psycopg"
    assert redacted(made) == "postgresql+psycopg://me:***@db.example/q"


def test_an_unreachable_server_is_told_without_the_password() -> None:
    pytest.importorskip("psycopg")
    with pytest.raises(LedgerUnavailable) as told:
        Ledger("postgresql://me:hunter2@127.0.0.1:9/q", retry=())
    assert "hunter2" not in str(told.value)
    assert "127.0.0.1" in str(told.value)


def test_a_file_that_is_no_database(tmp_path: Path) -> None:
    (tmp_path / "l.db").write_bytes(b"this is not a database" * 100)
    with pytest.raises(LedgerUnavailable, match="not a database"):
        Ledger(f"sqlite:///{tmp_path}/l.db")


def test_writers_wait_for_each_other(url: str) -> None:
    failures: list[Exception] = []
    Ledger(url, create=True).close()

    def work(part: int) -> None:
        try:
            with Ledger(url) as ledger:
                for start in range(0, 60, 10):
                    numbers = range(start, start + 10)
                    # Each part in another order, over the same rows.
                    messages = [m for n in numbers for m in (upload(n), verdict(n, part + 1))]
                    ledger.record(messages[:: 1 if part % 2 else -1])
        except Exception as error:
            failures.append(error)

    threads = [threading.Thread(target=work, args=(part,)) for part in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    with Ledger(url) as ledger:
        assert ledger.stats()["verdicts"] == 240
        assert {row.revision for row in ledger.find(limit=100)} == {4}


@pytest.mark.postgres
def test_a_server_that_goes_away_and_comes_back() -> None:
    with running() as server, Ledger(server.url(), create=True, retry=(0.05,)) as ledger:
        ledger.record([upload(1)])
        server.stop()
        with pytest.raises(LedgerUnavailable) as told:
            ledger.record([upload(2)])
        assert "s3cret-word" not in str(told.value)
        server.start()
        ledger.record([upload(2)])
        assert ledger.stats()["uploads"] == 2


@pytest.mark.parametrize("options", [{}, {"check_schema": False}])
def test_a_misspelt_file_makes_no_database(tmp_path: Path, options: dict[str, bool]) -> None:
    url = f"sqlite:///{tmp_path / 'typo #1.db'}"
    with pytest.raises(QuorumError):
        Ledger(url, retry=(), **options).revision()
    assert list(tmp_path.iterdir()) == []
    Ledger(url, create=True).close()
    with Ledger(url, retry=(), **options) as made:
        assert made.revision() is not None


@pytest.mark.parametrize("verb", [["migrate"], ["stats"]])
def test_no_verb_makes_a_database_of_a_misspelt_name(tmp_path: Path, verb: list[str]) -> None:
    url = f"sqlite:///{tmp_path / 'typo.db'}"
    with pytest.raises(QuorumError, match="there is no database"):
        CliRunner().invoke(app, [*verb, "--database", url], catch_exceptions=False)
    CliRunner().invoke(app, ["migrate", "--dry-run", "--database", url], catch_exceptions=False)
    assert list(tmp_path.iterdir()) == []


def test_a_misspelt_source_of_a_batch_makes_no_database(tmp_path: Path) -> None:
    source = TableBatch(f"sqlite:///{tmp_path / 'typo.db'}", "videos")
    with pytest.raises(ConfigurationError, match="there is no database"):
        source.ranges(TimeRange(), 2)
    assert list(tmp_path.iterdir()) == []
