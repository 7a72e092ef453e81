"""The catalogue's database: a SQLite file of its own, memory, or the ledger's database."""

from __future__ import annotations

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
from quorum.models.copyright.catalogue import tables

__all__ = ["LEDGER", "Database", "lock"]

#: Instead of a URL: the database that ``QUORUM_DATABASE`` names.
LEDGER = "ledger"

_FORMAT = 2

#: Seconds that a writer waits for another one.
_BUSY_SECONDS = 60.0

#: Seconds to wait for a server that does not answer.
_CONNECT_SECONDS = 10

#: One number names the lock of all who write to the catalogue on PostgreSQL.
_LOCK = 0x51_43_41_54


class Database:
    """Transactions on the catalogue's tables; may be shared by threads.

    Made by one of ``memory``, ``file`` and ``at``.
    """

    def __init__(self, engine: Engine, name: str) -> None:
        self.name = name
        self._engine = engine
        #: Threads share one connection of SQLite, and each has its own of a server.
        single = engine.dialect.name == "sqlite"
        self._guard: Any = threading.RLock() if single else nullcontext()

    @classmethod
    def memory(cls) -> Self:
        """A database that ends with the process."""

        def connect() -> sqlite3.Connection:
            return sqlite3.connect(":memory:", check_same_thread=False, isolation_level=None)

        made = cls(_sqlite(connect), "memory")
        with made.writing() as connection:
            tables.metadata.create_all(connection)
        return made

    @classmethod
    def file(cls, path: Path, *, read_only: bool = False, lasting: bool = True) -> Self:
        """A SQLite file of the catalogue's own.

        Args:
            path: The file. It is created where it is absent.
            read_only: Never write, and never create.
            lasting: What is confirmed survives a loss of power; else only the end of a process.

        Raises:
            ConfigurationError: If there is none to read, or it is of another format.
        """
        if read_only and not path.is_file():
            msg = f"there is no catalogue in {path.parent}; quorum catalogue add makes one"
            raise ConfigurationError(msg)
        made = cls(_sqlite(lambda: _open_file(path, read_only, lasting)), str(path))
        try:
            made._prepare(path, read_only)
        except (EngineUnavailable, InputError, OSError) as error:
            made.close()
            msg = f"{path.parent} is no catalogue that can be used: {error}"
            raise ConfigurationError(msg) from None
        return made

    def _prepare(self, path: Path, read_only: bool) -> None:
        with self.reading() as connection:
            known = connection.exec_driver_sql("PRAGMA user_version").scalar_one()
        if known == _FORMAT:
            return
        if known or read_only:
            msg = f"{path.parent} is a catalogue of format {known}; this Quorum reads {_FORMAT}"
            raise ConfigurationError(msg)
        with self.writing() as connection:
            if connection.exec_driver_sql("PRAGMA user_version").scalar_one() == 0:
                tables.metadata.create_all(connection)
                connection.exec_driver_sql(f"PRAGMA user_version = {_FORMAT}")

    @classmethod
    def at(cls, url: str) -> Self:
        """The ledger's database, whose migrations made the catalogue's tables.

        Args:
            url: Its URL, or ``ledger`` for that of ``QUORUM_DATABASE``.

        Raises:
            ConfigurationError: If the URL cannot be used, or the tables are not there.
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
            msg = f"the database {made.name} has no catalogue yet; make it with: quorum ledger init"
            raise ConfigurationError(msg)
        return made

    @contextmanager
    def writing(self, *, works: bool = True) -> Iterator[Connection]:
        """One transaction: all of it is on disk when it ends, or none of it.

        Args:
            works: Whether works are written. Who does so waits for others who do, so that serial
                numbers are confirmed in their order.

        Raises:
            InputError: If the database does not take a value.
            EngineUnavailable: If it cannot be reached; nothing was written.
        """
        with self._transaction(quorum_writes=True) as connection:
            if works:
                lock(connection)
            yield connection

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """Queries that see one state, whatever is written meanwhile.

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
            msg = f"the catalogue's database refuses a value: {kind}"
            raise InputError(msg) from None
        except SQLAlchemyError as error:
            raise EngineUnavailable(self._told(error)) from None

    def _told(self, error: SQLAlchemyError) -> str:
        cause = error.orig if isinstance(error, DBAPIError) else error
        # Only the first line: what follows in PostgreSQL's text quotes the row.
        said = (str(cause).strip() or type(cause).__name__).splitlines()[0]
        password = self._engine.url.password
        if password:
            said = said.replace(str(password), "***")
        return f"the catalogue's database {self.name} could not be used: {said}"

    def close(self) -> None:
        """Give back the connections."""
        with self._guard:
            self._engine.dispose()


def lock(connection: Connection) -> None:
    """Wait for others who write works, in a transaction that writes."""
    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(:n)"), {"n": _LOCK})


def _sqlite(creator: Callable[[], sqlite3.Connection]) -> Engine:
    engine = create_engine("sqlite://", creator=creator, poolclass=StaticPool, hide_parameters=True)
    event.listen(engine, "begin", _begin)
    return engine


def _begin(connection: Connection) -> None:
    # The driver would begin at the first write, when a reader can no longer become the writer.
    writes = connection.get_execution_options().get("quorum_writes", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


def _open_file(path: Path, read_only: bool, lasting: bool) -> sqlite3.Connection:
    # After a writer was killed, the first who opens the file takes back what it left half done;
    # a reader that may write does so too, and writes nothing else.
    may_write = not read_only or (os.access(path, os.W_OK) and os.access(path.parent, os.W_OK))
    mode = "ro" if not may_write else "rw" if read_only else "rwc"
    if mode == "rwc":
        path.parent.mkdir(parents=True, exist_ok=True)
    connection = sqlite3.connect(
        f"{path.absolute().as_uri()}?mode={mode}",
        uri=True,
        timeout=_BUSY_SECONDS,
        check_same_thread=False,
        isolation_level=None,
    )
    if lasting:
        # The name of the journal must survive a loss of power as well.
        connection.execute("PRAGMA synchronous = EXTRA")
    else:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = NORMAL")
    if read_only:
        connection.execute("PRAGMA query_only = ON")
    return connection


def _open_ledger(path: str) -> sqlite3.Connection:
    connection = sqlite3.connect(
        f"{Path(path).absolute().as_uri()}?mode=rw",
        uri=True,
        timeout=_BUSY_SECONDS,
        check_same_thread=False,
        isolation_level=None,
    )
    connection.execute("PRAGMA synchronous = FULL")
    return connection


def _engine(url: str) -> tuple[Engine, str]:
    """An engine for a URL, and how it may be shown."""
    if url == LEDGER:
        url = os.environ.get("QUORUM_DATABASE", "")
        if not url:
            msg = "the catalogue is in the ledger's database, and QUORUM_DATABASE names none"
            raise ConfigurationError(msg)
    try:
        made = make_url(url)
    except (ArgumentError, ValueError):
        msg = "the catalogue's database is no URL such as sqlite:///quorum.db or postgresql://host/name"
        raise ConfigurationError(msg) from None
    name = made.set(query={}).render_as_string(hide_password=True)
    if made.drivername in {"sqlite", "sqlite+pysqlite"} and made.database:
        file = made.database
        if not Path(file).is_file():
            msg = f"there is no database {name}; make it with: quorum ledger init"
            raise ConfigurationError(msg)
        return _sqlite(lambda: _open_ledger(file)), name
    if made.drivername not in {"postgresql", "postgres", "postgresql+psycopg"}:
        msg = f"a catalogue cannot lie in {made.drivername!r}; use sqlite or postgresql"
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
