"""Schema versions: runs the Alembic migrations that the package contains."""

from __future__ import annotations

import io
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import URL, Connection

from quorum.store.ledger.errors import LedgerOutdated

__all__ = ["check", "migrate", "migration_sql", "revision", "wanted_revision"]


def revision(connection: Connection) -> str | None:
    """The migration revision of the database; None if it has no ledger."""
    return MigrationContext.configure(connection).get_current_revision()


def wanted_revision() -> str:
    """The revision that this version of Quorum needs."""
    head = ScriptDirectory.from_config(_config()).get_current_head()
    assert head is not None
    return head


def check(connection: Connection) -> None:
    """Check that the database has the revision that this version needs.

    Raises:
        LedgerOutdated: If it has another one; the text names the command to run.
    """
    found, wanted = revision(connection), wanted_revision()
    if found is None:
        msg = "the database has no ledger yet; make it with: quorum ledger init"
        raise LedgerOutdated(msg)
    if found != wanted:
        known = {item.revision for item in ScriptDirectory.from_config(_config()).walk_revisions()}
        if found in known:
            msg = (
                f"the ledger is at revision {found}, and this version needs {wanted}; "
                "bring it up with: quorum ledger migrate"
            )
        else:
            msg = (
                f"the ledger is at revision {found}, which this version does not know: "
                "a newer Quorum made it; use that version, or another database"
            )
        raise LedgerOutdated(msg)


def migrate(connection: Connection) -> None:
    """Upgrade the tables to this version in the connection's transaction."""
    found = revision(connection)
    if found is not None and found == wanted_revision():
        return
    config = _config()
    config.attributes["connection"] = connection
    command.upgrade(config, "head")


def migration_sql(url: URL, found: str | None) -> str:
    """The SQL that ``migrate`` runs on a database at a revision."""
    config = _config()
    out = io.StringIO()
    config.output_buffer = out
    config.attributes["dialect"] = url.get_dialect().name
    command.upgrade(config, f"{found or 'base'}:head", sql=True)
    return out.getvalue()


def _config() -> Config:
    config = Config()
    folder = Path(__file__).parent / "migrations"
    config.set_main_option("script_location", str(folder).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    return config
