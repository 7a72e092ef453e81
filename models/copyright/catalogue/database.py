"""Database access of the catalogue: its own SQLite file, memory, or the ledger's database."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any, Self

from sqlalchemy import Connection, Engine, create_engine, event, inspect, make_url, text
from sqlalchemy.exc import (
    ArgumentError,
    DataError,
    DBAPIError,
    IntegrityError,
    NoSuchModuleError,
    SQLAlchemyError,
)
from sqlalchemy.pool import StaticPool

from quorum.core.errors import ConfigurationError, EngineUnavailable, InputError
from quorum.core.private_files import create_private
from quorum.models.copyright.catalogue import tables

__all__ = ["LEDGER", "Database", "lock"]

#: Stands for the database of ``QUORUM_DATABASE`` where a URL is expected.
LEDGER = "ledger"

_FORMAT = 2

#: Timeout of a writer that waits for another one, in seconds.
_BUSY_SECONDS = 60.0

#: Connection timeout of a server, in seconds.
_CONNECT_SECONDS = 10

#: Key of the PostgreSQL advisory lock of all writers of works.
_LOCK = 0x51_43_41_54


class Database:
    """Transactions on the catalogue's tables; thread-safe.

    Created by ``memory``, ``file`` or ``at``.
    """

    def __init__(self, engine: Engine, name: str) -> None:
        self.name = name
        self._engine = engine
        #: Threads share a single SQLite connection; of a server each has its own.
        single = engine.dialect.name == "sqlite"
        self._guard: Any = threading.RLock() if single else nullcontext()

    @classmethod
    def memory(cls) -> Self:
        """An in-memory database."""

        def connect() -> sqlite3.Connection:
            return sqlite3.connect(":memory:", check_same_thread=False, isolation_level=None)

        made = cls(_sqlite(connect), "memory")
        with made.writing() as connection:
            tables.metadata.create_all(connection)
        return made

    @classmethod
    def file(cls, path: Path, *, read_only: bool = False, lasting: bool = True) -> Self:
        """The catalogue's own SQLite file.

        Args:
            path: The file; created if missing.
            read_only: Never write and never create.
            lasting: Commits survive a power failure; otherwise only a crash of the process.

        Raises:
            ConfigurationError: If there is nothing to read or the format is unsupported.
        """
        if read_only and not path.is_file():
            msg = f"there is no catalogue in {path.parent}; quorum catalogue add makes one"
            raise ConfigurationError(msg)
        made = cls(_sqlite(lambda: _open_file(path, read_only, lasting)), str(path))
        try:
            made._prepare(path, read_only)
        except (EngineUnavailable, InputError, OSError) as error:
            made.close()
            msg = f"{path.parent} is not a usable catalogue: {error}"
            raise ConfigurationError(msg) from None
        return made

    def _prepare(self, path: Path, read_only: bool) -> None:
        with self.reading() as connection:
            known = connection.exec_driver_sql("PRAGMA user_version").scalar_one()
        if known == _FORMAT:
            return
        if known or read_only:
            msg = f"{path.parent} has catalogue format {known}; this version reads {_FORMAT}"
            raise ConfigurationError(msg)
        with self.writing() as connection:
            if connection.exec_driver_sql("PRAGMA user_version").scalar_one() == 0:
                tables.metadata.create_all(connection)
                connection.exec_driver_sql(f"PRAGMA user_version = {_FORMAT}")

    @classmethod
    def at(cls, url: str) -> Self:
        """The ledger's database, with the catalogue's tables from the ledger's migrations.

        Args:
            url: Its URL, or ``ledger`` for that of ``QUORUM_DATABASE``.

        Raises:
            ConfigurationError: If the URL is invalid or the tables are missing.
            EngineUnavailable: If the database cannot be reached.
        """
        made = cls(*_engine(url))
        try:
            with made.reading() as connection:
                there = inspect(connection).has_table(tables.works.name)
        except EngineUnavailable:
            made.close()
            raise
        if not there:
            made.close()
            msg = f"the database {made.name} has no catalogue yet; create it: quorum ledger init"
            raise ConfigurationError(msg)
        return made

    @contextmanager
    def writing(self, *, works: bool = True) -> Iterator[Connection]:
        """A write transaction, durable when it ends.

        Args:
            works: Whether it writes works. Such writers are serialised, so that serial numbers
                are committed in order.

        Raises:
            InputError: If the database rejects a value.
            EngineUnavailable: If it cannot be reached; nothing was written.
        """
        with self._transaction(quorum_writes=True) as connection:
            if works:
                lock(connection)
            yield connection

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """A read transaction with a consistent snapshot.

        Raises:
            EngineUnavailable: If the database cannot be reached.
        """
        with self._transaction() as connection:
            yield connection

    @contextmanager
    def _transaction(self, **options: Any) -> Iterator[Connection]:
        if self._engine.dialect.name == "postgresql" and not options:
            options = {"isolation_level": "REPEATABLE READ"}
        try:
            with self._guard, self._engine.connect() as plain:
                connection = plain.execution_options(**options)
                with connection.begin():
                    yield connection
        except (DataError, IntegrityError, OverflowError) as error:
            kind = type(getattr(error, "orig", None) or error).__name__
            msg = f"the catalogue's database rejected a value: {kind}"
            raise InputError(msg) from None
        except SQLAlchemyError as error:
            raise EngineUnavailable(self._message(error)) from None

    def _message(self, error: SQLAlchemyError) -> str:
        cause = error.orig if isinstance(error, DBAPIError) else error
        # Only the first line: the rest of PostgreSQL's message quotes the row.
        reason = (str(cause).strip() or type(cause).__name__).splitlines()[0]
        password = self._engine.url.password
        if password:
            reason = reason.replace(str(password), "***")
        return f"the catalogue's database {self.name} failed: {reason}"

    def close(self) -> None:
        """Close all connections."""
        with self._guard:
            self._engine.dispose()


def lock(connection: Connection) -> None:
    """Serialise writers of works, within a write transaction."""
    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(:n)"), {"n": _LOCK})


def _sqlite(creator: Callable[[], sqlite3.Connection]) -> Engine:
    engine = create_engine("sqlite://", creator=creator, poolclass=StaticPool, hide_parameters=True)
    event.listen(engine, "begin", _begin)
    return engine


def _begin(connection: Connection) -> None:
    # Without this the driver begins at the first write, when a reader can no longer upgrade.
    writes = connection.get_execution_options().get("quorum_writes", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


def _open_file(path: Path, read_only: bool, lasting: bool) -> sqlite3.Connection:
    # After a writer was killed, the first process that opens the file rolls back its journal; a
    # reader with write permission does so too, and writes nothing else.
    may_write = not read_only or (os.access(path, os.W_OK) and os.access(path.parent, os.W_OK))
    mode = "ro" if not may_write else "rw" if read_only else "rwc"
    if mode == "rwc":
        path.parent.mkdir(parents=True, exist_ok=True)
        with contextlib.suppress(OSError):  # the connection says what is wrong
            create_private(path)
    connection = _connect(path, mode)
    if lasting:
        # The journal's directory entry must survive a power failure as well.
        connection.execute("PRAGMA synchronous = EXTRA")
    else:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = NORMAL")
    if read_only:
        connection.execute("PRAGMA query_only = ON")
    return connection


def _open_ledger(path: str) -> sqlite3.Connection:
    connection = _connect(Path(path), "rw")
    connection.execute("PRAGMA synchronous = FULL")
    return connection


def _connect(path: Path, mode: str) -> sqlite3.Connection:
    return sqlite3.connect(
        f"{path.absolute().as_uri()}?mode={mode}",
        uri=True,
        timeout=_BUSY_SECONDS,
        check_same_thread=False,
        isolation_level=None,
    )


def _engine(url: str) -> tuple[Engine, str]:
    """Create the engine for a URL; also returns the URL without secrets."""
    if url == LEDGER:
        url = os.environ.get("QUORUM_DATABASE", "")
        if not url:
            msg = "the catalogue is in the ledger's database, but QUORUM_DATABASE is not set"
            raise ConfigurationError(msg)
    try:
        made = make_url(url)
    except (ArgumentError, ValueError):
        msg = "the catalogue's database must be a URL such as sqlite:///quorum.db or postgresql://host/name"
        raise ConfigurationError(msg) from None
    name = made.set(query={}).render_as_string(hide_password=True)
    if made.drivername in {"sqlite", "sqlite+pysqlite"} and made.database:
        file = made.database
        if not Path(file).is_file():
            msg = f"there is no database {name}; create it: quorum ledger init"
            raise ConfigurationError(msg)
        return _sqlite(lambda: _open_ledger(file)), name
    if made.drivername not in {"postgresql", "postgres", "postgresql+psycopg"}:
        msg = f"a catalogue cannot be stored in {made.drivername!r}; use sqlite or postgresql"
        raise ConfigurationError(msg)
    try:
        engine = create_engine(
            made.set(drivername="postgresql+psycopg"),
            hide_parameters=True,
            pool_pre_ping=True,
            pool_size=2,
            max_overflow=4,
            connect_args={"connect_timeout": _CONNECT_SECONDS, "application_name": "quorum"},
        )
    except (ImportError, NoSuchModuleError):
        msg = "PostgreSQL needs its driver: pip install 'quorum-moderation[postgres]'"
        raise ConfigurationError(msg) from None
    return engine, name
