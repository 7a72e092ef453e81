"""Runs transactions, and retries them while the database is away."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import URL, Connection, Row, Select
from sqlalchemy.exc import DataError, DBAPIError, IntegrityError, SQLAlchemyError, StatementError

from quorum.store.ledger.connection import connect, redacted
from quorum.store.ledger.errors import LedgerRefused, LedgerUnavailable

__all__ = ["RETRY_SECONDS", "Transactions"]

T = TypeVar("T")

#: Seconds to wait before each retry: long enough for a fail-over, short enough for a broker's lease
#: on the messages that are being recorded.
RETRY_SECONDS = (0.2, 1.0, 3.0)


class Transactions:
    """Runs transactions on one database; errors quote no passwords and no content.

    Args:
        url: The database.
        retry: Seconds to wait before each retry while the database is away.
        create: Whether a file that does not exist is made.
    """

    def __init__(
        self, url: URL, retry: Sequence[float] = RETRY_SECONDS, *, create: bool = False
    ) -> None:
        self.name = redacted(url)
        self._retry = tuple(retry)
        self._engine = connect(url, create=create)

    def close(self) -> None:
        """Close the connections."""
        self._engine.dispose()

    @property
    def absent(self) -> bool:
        """Whether it is a file that does not exist."""
        url = self._engine.url
        if url.drivername != "sqlite" or not url.database or url.database == ":memory:":
            return False
        return not Path(url.database).exists()

    def run(self, work: Callable[[Connection], T], *, writes: bool = False) -> T:
        """Run a function in one transaction, and again if the database goes away.

        Raises:
            LedgerUnavailable: If the database stays away; nothing was written.
            LedgerRefused: If the database refuses a value; nothing was written.
        """
        for wait in (*self._retry, None):
            try:
                with self._engine.connect() as plain:
                    connection = plain.execution_options(quorum_writes=writes)
                    with connection.begin():
                        return work(connection)
            except (DataError, IntegrityError, OverflowError) as error:
                # The error's own text may quote the value.
                kind = type(getattr(error, "orig", None) or error).__name__
                msg = f"the database {self.name} refuses a value: {kind}"
                raise LedgerRefused(msg) from None
            except DBAPIError as error:
                if wait is None or not _transient(error):
                    raise LedgerUnavailable(self._problem(error)) from None
                time.sleep(wait)
            except StatementError as error:
                # A parameter that no database was asked of, such as a time before the year 1.
                kind = type(error.orig or error).__name__
                msg = f"the database {self.name} refuses a value: {kind}"
                raise LedgerRefused(msg) from None
            except SQLAlchemyError as error:
                raise LedgerUnavailable(self._problem(error)) from None
        raise AssertionError

    def stream(self, query: Select[Any], size: int) -> Iterator[Row[Any]]:
        """Iterate over the rows of a query, ``size`` of them in memory at once; without retries.

        Raises:
            LedgerUnavailable: If the database goes away.
        """
        try:
            with self._engine.connect() as plain:
                connection = plain.execution_options(stream_results=True, yield_per=size)
                with connection.begin():
                    yield from connection.execute(query)
        except SQLAlchemyError as error:
            raise LedgerUnavailable(self._problem(error)) from None

    def _problem(self, error: SQLAlchemyError) -> str:
        cause = getattr(error, "orig", None) or error
        # Only the first line: PostgreSQL quotes the row in the next ones.
        text = (str(cause).strip() or type(cause).__name__).splitlines()[0]
        password = self._engine.url.password
        if password:
            text = text.replace(str(password), "***")
        return f"the database {self.name} could not be used: {text}"


def _transient(error: DBAPIError) -> bool:
    """Whether a retry on a new connection may succeed."""
    if error.connection_invalidated:
        return True
    state = getattr(error.orig, "sqlstate", None)
    if state is not None:
        # Connection, too many connections, shutting down or starting, deadlock, serialisation.
        return state[:2] in {"08", "53", "57"} or state in {"40001", "40P01"}
    text = str(error.orig)
    return "database is locked" in text or "connect" in text.lower()
