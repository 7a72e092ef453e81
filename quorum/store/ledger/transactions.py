"""Transactions on a database that may go away and come back."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import URL, Connection, Row, Select
from sqlalchemy.exc import DataError, DBAPIError, IntegrityError, SQLAlchemyError

from quorum.store.ledger.connection import connect, redacted
from quorum.store.ledger.errors import LedgerRefused, LedgerUnavailable

__all__ = ["RETRY_SECONDS", "Transactions"]

T = TypeVar("T")

#: Waits, in seconds, before a transaction is tried again on a database that went away: long
#: enough for a fail-over, short enough for a broker's lease on what is being recorded.
RETRY_SECONDS = (0.2, 1.0, 3.0)


class Transactions:
    """Runs work in transactions, and tells what went wrong without telling secrets.

    Args:
        url: The database.
        retry: Waits in seconds before each new try when the database goes away.
    """

    def __init__(self, url: URL, retry: Sequence[float] = RETRY_SECONDS) -> None:
        self.name = redacted(url)
        self._retry = tuple(retry)
        self._engine = connect(url)

    def close(self) -> None:
        """Give the connections back."""
        self._engine.dispose()

    @property
    def absent(self) -> bool:
        """Whether it is a file that is not there; opening it would make an empty one."""
        url = self._engine.url
        if url.drivername != "sqlite" or not url.database or url.database == ":memory:":
            return False
        return not Path(url.database).exists()

    def run(self, work: Callable[[Connection], T], *, writes: bool = False) -> T:
        """Do work in one transaction; again, from its beginning, if the database goes away.

        Raises:
            LedgerUnavailable: If it cannot be done; nothing was written.
            LedgerRefused: If the database does not take a value; nothing was written.
        """
        for wait in (*self._retry, None):
            try:
                with self._engine.connect() as plain:
                    connection = plain.execution_options(quorum_writes=writes)
                    with connection.begin():
                        return work(connection)
            except (DataError, IntegrityError, OverflowError) as error:
                # Its own text may quote the value.
                kind = type(getattr(error, "orig", None) or error).__name__
                msg = f"the database {self.name} refuses a value: {kind}"
                raise LedgerRefused(msg) from None
            except DBAPIError as error:
                if wait is None or not _may_pass(error):
                    raise LedgerUnavailable(self._told(error)) from None
                time.sleep(wait)
            except SQLAlchemyError as error:
                raise LedgerUnavailable(self._told(error)) from None
        raise AssertionError

    def stream(self, query: Select[Any], size: int) -> Iterator[Row[Any]]:
        """The rows of a query, so many of them held at once; not tried again in its midst.

        Raises:
            LedgerUnavailable: If the database goes away.
        """
        try:
            with self._engine.connect() as plain:
                connection = plain.execution_options(stream_results=True, yield_per=size)
                with connection.begin():
                    yield from connection.execute(query)
        except SQLAlchemyError as error:
            raise LedgerUnavailable(self._told(error)) from None

    def _told(self, error: SQLAlchemyError) -> str:
        cause = getattr(error, "orig", None) or error
        # Only the first line: what follows in PostgreSQL's text quotes the row.
        said = (str(cause).strip() or type(cause).__name__).splitlines()[0]
        password = self._engine.url.password
        if password:
            said = said.replace(str(password), "***")
        return f"the database {self.name} could not be used: {said}"


def _may_pass(error: DBAPIError) -> bool:
    """Whether the same work may succeed on a new connection a little later."""
    if error.connection_invalidated:
        return True
    state = getattr(error.orig, "sqlstate", None)
    if state is not None:
        # Connection, too many connections, shutting down or starting, dead-lock, serialisation.
        return state[:2] in {"08", "53", "57"} or state in {"40001", "40P01"}
    said = str(error.orig)
    return "database is locked" in said or "connect" in said.lower()
