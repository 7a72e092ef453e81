"""The catalogue's database: one SQLite file, or memory."""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from quorum.errors import ConfigurationError

__all__ = ["Database"]

_FORMAT = 1
_FILE = "catalogue.sqlite"

#: How long a writer waits for another one.
_BUSY_SECONDS = 60.0

_SCHEMA = """
CREATE TABLE facts (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE works (
  serial INTEGER PRIMARY KEY AUTOINCREMENT,
  id TEXT NOT NULL,
  title TEXT NOT NULL,
  owner TEXT NOT NULL,
  facts TEXT NOT NULL,
  content TEXT NOT NULL,
  entries INTEGER NOT NULL,
  seconds REAL NOT NULL,
  removed INTEGER NOT NULL DEFAULT 0
);
CREATE UNIQUE INDEX work_by_id ON works (id) WHERE NOT removed;
CREATE TABLE prints (serial INTEGER PRIMARY KEY, data BLOB NOT NULL);
CREATE TABLE digests (digest TEXT NOT NULL, serial INTEGER NOT NULL, PRIMARY KEY (digest, serial))
  WITHOUT ROWID;
CREATE TABLE segments (
  name INTEGER PRIMARY KEY AUTOINCREMENT,
  first INTEGER NOT NULL,
  last INTEGER NOT NULL,
  entries INTEGER NOT NULL
);
"""


class Database:
    """A connection that threads share.

    Args:
        folder: Where the file lies; None for memory. It is created where it is absent.
        read_only: Never write, and never create.

    Raises:
        ConfigurationError: If there is none to read, or it is of another format.
    """

    def __init__(self, folder: Path | None, *, read_only: bool) -> None:
        self.folder = folder
        self._read_only = read_only
        self.lock = threading.RLock()
        try:
            self._connection = self._connect()
            self._prepare()
        except (sqlite3.DatabaseError, OSError) as error:
            msg = f"{folder} is no catalogue that can be used: {error}"
            raise ConfigurationError(msg) from None

    def _connect(self) -> sqlite3.Connection:
        if self.folder is None:
            return sqlite3.connect(":memory:", check_same_thread=False, isolation_level=None)
        folder = self.folder
        file = folder / _FILE
        if self._read_only and not file.is_file():
            msg = f"there is no catalogue in {self.folder}; quorum catalogue add makes one"
            raise ConfigurationError(msg)
        if not self._read_only:
            (self.folder / "segments").mkdir(parents=True, exist_ok=True)
        # After a writer was killed, the first who opens the file takes back what it left half
        # done; a reader that may write does so too, and writes nothing else.
        may_write = not self._read_only or (os.access(file, os.W_OK) and os.access(folder, os.W_OK))
        mode = "ro" if not may_write else "rw" if self._read_only else "rwc"
        connection = sqlite3.connect(
            f"{file.absolute().as_uri()}?mode={mode}",
            uri=True,
            timeout=_BUSY_SECONDS,
            check_same_thread=False,
            isolation_level=None,
        )
        if self._read_only:
            connection.execute("PRAGMA query_only = ON")
        return connection

    def _prepare(self) -> None:
        database = self._connection
        # What is confirmed must survive a loss of power, and the name of the journal as well.
        database.execute("PRAGMA synchronous = EXTRA")
        known = database.execute("PRAGMA user_version").fetchone()[0]
        if known == _FORMAT:
            return
        if known or self._read_only:
            msg = f"{self.folder} is a catalogue of format {known}; this Quorum reads {_FORMAT}"
            raise ConfigurationError(msg)
        with self.writing():
            if database.execute("PRAGMA user_version").fetchone()[0] == 0:
                for statement in _SCHEMA.split(";"):
                    database.execute(statement)
                database.execute("INSERT INTO facts VALUES ('content', ?)", ("0" * 32,))
                database.execute(f"PRAGMA user_version = {_FORMAT}")

    @contextmanager
    def writing(self) -> Iterator[None]:
        """One transaction: all of it is on disk when it ends, or none of it."""
        with self.lock:
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield
            except BaseException:
                self._connection.execute("ROLLBACK")
                raise
            self._connection.execute("COMMIT")

    def rows(self, statement: str, values: Any = ()) -> list[Any]:
        """What a query gives."""
        with self.lock:
            return self._connection.execute(statement, values).fetchall()

    def insert(self, statement: str, values: Any = ()) -> int:
        """Insert a row, and tell its number."""
        return self._connection.execute(statement, values).lastrowid or 0

    @contextmanager
    def reading(self) -> Iterator[None]:
        """Queries that see one state, whatever is written meanwhile."""
        with self.lock:
            self._connection.execute("BEGIN")
            try:
                yield
            finally:
                self._connection.execute("COMMIT")

    def changes(self) -> int:
        """A number that differs when another connection has written."""
        return int(self.rows("PRAGMA data_version")[0][0])

    def close(self) -> None:
        """Give back the file."""
        with self.lock:
            self._connection.close()
