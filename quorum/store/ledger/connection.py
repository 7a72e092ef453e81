"""Connections to the database: SQLite in WAL mode, or PostgreSQL with the ``postgres`` extra.

Tables are also read from MySQL, with the ``mysql`` extra.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
from functools import partial
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url
from sqlalchemy.exc import ArgumentError, NoSuchModuleError
from sqlalchemy.pool import QueuePool, StaticPool

from quorum.core.errors import ConfigurationError
from quorum.core.private_files import create_private, warn_if_open

__all__ = ["DEFAULT_URL", "connect", "database_url", "redacted", "source_url"]

#: The default: a file in the current folder.
DEFAULT_URL = "sqlite:///quorum.db"

#: What MySQL and its fork are called in URLs.
_MYSQL = ("mysql", "mariadb")

#: Seconds that a writer waits for another writer of the same SQLite file.
SQLITE_BUSY_SECONDS = 30

#: Seconds until a connection attempt times out.
CONNECT_SECONDS = 10


def database_url(url: str | URL | None = None) -> URL:
    """The database's URL: the given one, else ``QUORUM_DATABASE``, else ``DEFAULT_URL``.

    Raises:
        ConfigurationError: If it is not a URL of a database that is supported. The text does not
            repeat the URL, which may hold a password.
    """
    made = _parsed(url or os.environ.get("QUORUM_DATABASE") or DEFAULT_URL)
    if made.drivername in {"postgresql", "postgres", "postgresql+psycopg"}:
        return made.set(drivername="postgresql+psycopg")
    if made.drivername in {"sqlite", "sqlite+pysqlite"}:
        return made.set(drivername="sqlite")
    if made.get_backend_name() in _MYSQL:
        msg = (
            "a ledger is kept in sqlite or postgresql; mysql is only read from: "
            "quorum batch --database mysql://… --table NAME --ledger URL"
        )
        raise ConfigurationError(msg)
    msg = f"databases of the kind {made.drivername!r} are not supported; use sqlite or postgresql"
    raise ConfigurationError(msg)


def source_url(url: str | URL) -> URL:
    """The URL of a database that tables are read from: one of a ledger's kinds, or of MySQL.

    Raises:
        ConfigurationError: See ``database_url``.
    """
    made = _parsed(url)
    if made.get_backend_name() in _MYSQL:
        return made.set(drivername="mysql+pymysql")
    return database_url(made)


def _parsed(url: str | URL) -> URL:
    try:
        return make_url(url)
    except (ArgumentError, ValueError):
        msg = (
            "the database's URL cannot be read; it looks like sqlite:///quorum.db or "
            "postgresql://user@host/name (a password comes in QUORUM_DATABASE)"
        )
        raise ConfigurationError(msg) from None


def redacted(url: str | URL) -> str:
    """The URL without password and query, for logs and errors."""
    made = make_url(url)
    return made.set(query={}).render_as_string(hide_password=True)


def connect(url: URL, *, create: bool = False) -> Engine:
    """An engine for the URL; no connection is opened yet.

    Args:
        url: The database.
        create: Whether a file that does not exist is made; else connecting to it fails, so that a
            misspelt name makes no empty database.

    Raises:
        ConfigurationError: If the driver is not installed.
    """
    # hide_parameters: errors must not quote the content of messages.
    options: dict[str, Any] = {"hide_parameters": True}
    if url.drivername == "sqlite":
        memory = not url.database or url.database == ":memory:"
        if memory:
            options["poolclass"] = StaticPool
        else:
            # Connections are kept open: closing the last one of a file checkpoints its WAL, which
            # would happen after each transaction. The overflow is unlimited: no thread waits.
            options |= {"poolclass": QueuePool, "pool_size": 4, "max_overflow": -1}
        options["connect_args"] = {"timeout": SQLITE_BUSY_SECONDS, "check_same_thread": False}
        if not memory and not Path(str(url.database)).parent.is_dir():
            msg = f"there is no folder {Path(str(url.database)).parent} for the database; make it"
            raise ConfigurationError(msg)
        if not memory and not url.query:
            # SQLite gives its write-ahead log the mode of the database.
            path = Path(str(url.database))
            warn_if_open(path, "the ledger")
            options["creator"] = partial(_create if create else _open_existing, path)
    else:
        options |= {"pool_pre_ping": True, "pool_size": 4, "max_overflow": 4}
    if url.get_backend_name() in _MYSQL:
        # The driver computes times in the session's zone.
        options["connect_args"] = {
            "connect_timeout": CONNECT_SECONDS,
            "charset": "utf8mb4",
            "init_command": "SET time_zone = '+00:00'",
        }
    elif url.drivername != "sqlite":
        options["connect_args"] = {
            "connect_timeout": CONNECT_SECONDS,
            "application_name": "quorum",
        }
    try:
        engine = create_engine(url, **options)
    except (ImportError, NoSuchModuleError):
        msg = "PostgreSQL needs its driver: pip install 'quorum-moderation[postgres]'"
        if url.get_backend_name() in _MYSQL:
            msg = "MySQL needs its driver: pip install 'quorum-moderation[mysql]'"
        raise ConfigurationError(msg) from None
    if url.drivername == "sqlite":
        event.listen(engine, "connect", _prepare_sqlite)
        event.listen(engine, "begin", _begin_sqlite)
    return engine


def _create(path: Path) -> sqlite3.Connection:
    with contextlib.suppress(OSError):  # the connection says what is wrong
        create_private(path)
    return _open_existing(path)


def _open_existing(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(
        f"{path.absolute().as_uri()}?mode=rw",
        uri=True,
        timeout=SQLITE_BUSY_SECONDS,
        check_same_thread=False,
    )


def _prepare_sqlite(connection: Any, _record: Any) -> None:
    # The driver begins a transaction at the first write, when a reader can no longer become the
    # writer; _begin_sqlite begins it explicitly.
    connection.isolation_level = None
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON"):
        connection.execute(f"PRAGMA {pragma}")


def _begin_sqlite(connection: Connection) -> None:
    writes = connection.get_execution_options().get("quorum_writes", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")
