"""The ledger: the database of uploads, predictions, verdicts, reviews and statements."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from datetime import datetime
from functools import partial
from typing import Literal, Self, TypeVar, get_args

from sqlalchemy import URL, Connection

from quorum.core.errors import QuorumError
from quorum.core.messages import Action, DeadLetter, Upload, now
from quorum.store.ledger import erasure, reading, runs
from quorum.store.ledger.connection import database_url
from quorum.store.ledger.errors import LedgerOutdated
from quorum.store.ledger.past_verdicts import past_verdicts, verdicts_before
from quorum.store.ledger.recording import as_rows, write
from quorum.store.ledger.revisions import check, migrate, revision
from quorum.store.ledger.transactions import RETRY_SECONDS, Transactions
from quorum.store.ledger.values import (
    CaseFilter,
    CaseSummary,
    Forgotten,
    LedgerCase,
    PastVerdicts,
    Pruned,
    Recordable,
    Run,
    TimeRange,
)

__all__ = ["ALL_PARTS", "Ledger"]

T = TypeVar("T")

ALL_PARTS: tuple[reading.Part, ...] = get_args(reading.Part)


class Ledger:
    """The database of all messages, statements, batch runs and pending deliveries.

    ``record`` is one transaction: all of its messages are durable when it returns, and none of
    them when it raises. Recording is idempotent and does not depend on the order. Threads may
    share a ledger; after a fork, create a new one.

    Args:
        url: The database's URL; by default ``QUORUM_DATABASE``, else ``quorum.db`` in the current
            folder.
        create: Create or migrate the tables first.
        check_schema: Refuse a database whose tables have another version.
        retry: Seconds to wait before each retry while the database is away.

    Raises:
        ConfigurationError: If the URL is not supported.
        LedgerOutdated: If the tables are missing or of another version.
        LedgerUnavailable: If the database cannot be reached.
    """

    def __init__(
        self,
        url: str | URL | None = None,
        *,
        create: bool = False,
        check_schema: bool = True,
        retry: Sequence[float] = RETRY_SECONDS,
    ) -> None:
        made = database_url(url)
        self._transactions = Transactions(made, retry, create=create)
        self._run = self._transactions.run
        self.name = self._transactions.name
        try:
            if create:
                self._run(migrate, writes=True)
            elif check_schema:
                if self._transactions.absent:
                    msg = f"there is no database {self.name}; make it with: quorum ledger init"
                    raise LedgerOutdated(msg)
                self._run(check)
        except QuorumError:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._transactions.close()

    def revision(self) -> str | None:
        """The migration revision of the database; None if it has no ledger."""
        return self._run(revision)

    def transact(self, work: Callable[[Connection], T], *, writes: bool = False) -> T:
        """Run a function in one transaction.

        Args:
            work: Called with the connection, and again if the database goes away.
            writes: Whether it writes.

        Returns:
            What ``work`` returns.

        Raises:
            LedgerUnavailable: If the database cannot be reached; nothing was written.
        """
        return self._run(work, writes=writes)

    # Writing

    def record(self, messages: Iterable[Recordable]) -> None:
        """Record messages of any kind in one transaction.

        Of two uploads with one id, the one published later stays, of two of one time the one that
        is recorded last; of two predictions or verdicts, the one made later. The verdict with the
        greatest (``published_at``, ``revision``, ``at``) becomes the current one.

        Raises:
            LedgerUnavailable: If the database cannot be reached; nothing was written.
            LedgerRefused: If the database refuses a value; nothing was written.
            TypeError: If one of them is of another type.
        """
        made = as_rows(messages)
        if made:
            self._run(lambda connection: write(connection, made), writes=True)

    # Reading

    def get_case(self, upload_id: str) -> LedgerCase | None:
        """All that is recorded of one upload; None if nothing is."""
        found = self.get_cases([upload_id])[0]
        known = found.upload or found.predictions or found.verdicts or found.reviews
        return found if known else None

    def get_cases(
        self, upload_ids: Sequence[str], parts: Collection[reading.Part] = ALL_PARTS
    ) -> list[LedgerCase]:
        """The cases with these ids, in their order; an unknown one is empty."""
        return self._run(lambda connection: reading.load_cases(connection, upload_ids, parts))

    def owners(self, upload_ids: Sequence[str]) -> dict[str, str]:
        """The clients of the web service that made these uploads, by upload.

        Uploads of streams and batches, and those recorded by version 0.2, are left out.
        """
        return self._run(lambda connection: reading.owners_of(connection, upload_ids))

    def complained_of(self, upload_ids: Sequence[str]) -> frozenset[str]:
        """Those of these uploads that a user reported, or a legal notice is about."""
        return self._run(lambda connection: reading.complained_of(connection, upload_ids))

    def recorded_upload(
        self, upload_id: str, parts: Collection[reading.Part] = ALL_PARTS
    ) -> tuple[LedgerCase, str | None] | None:
        """The case of an upload, and its owner; None, by one query, if it is not recorded."""

        def work(connection: Connection) -> tuple[LedgerCase, str | None] | None:
            if not reading.recorded_uploads(connection, [upload_id]):
                return None
            (case,) = reading.load_cases(connection, [upload_id], parts)
            return case, reading.owners_of(connection, [upload_id]).get(upload_id)

        return self._run(work)

    def cases(
        self,
        period: TimeRange | None = None,
        *,
        order: reading.Order = "published",
        parts: Collection[reading.Part] = ALL_PARTS,
        page: int = 500,
    ) -> Iterator[LedgerCase]:
        """Iterate over the cases of a period, oldest first, page by page.

        Args:
            period: The period; by default all time.
            order: By the uploads' time of publishing (cases without a recorded upload are left
                out), or by the time of the current verdict.
            parts: What to load of each case; less is faster.
            page: How many cases are held in memory at once.
        """

        def read(
            connection: Connection, period: TimeRange, after: reading.Mark | None, limit: int
        ) -> list[tuple[reading.Mark, LedgerCase]]:
            marks = reading.case_page(connection, period, order, after, limit)
            found = reading.load_cases(connection, [mark[1] for mark in marks], parts)
            return list(zip(marks, found, strict=True))

        return self._pages(read, period, page)

    def past_verdicts(
        self, uploaders: Collection[str], actions: Collection[Action]
    ) -> dict[str, PastVerdicts]:
        """The current verdicts on each uploader's uploads; lists the newest of these actions."""
        return self._run(lambda connection: past_verdicts(connection, uploaders, actions))

    def verdicts_before(
        self, uploader: str, actions: Collection[Action], before: datetime
    ) -> PastVerdicts:
        """The verdicts that were current at a time; lists the newest of these actions."""
        return self._run(lambda connection: verdicts_before(connection, uploader, actions, before))

    def uploads(self, period: TimeRange | None = None, *, page: int = 1000) -> Iterator[Upload]:
        """Iterate over the uploads published in a period, oldest first, page by page."""
        return self._pages(reading.upload_page, period, page)

    def bounds(self, period: TimeRange | None = None) -> tuple[datetime, datetime] | None:
        """When the first and the last upload of a period were published; None if none was."""
        return self._run(lambda connection: reading.bounds(connection, period or TimeRange()))

    def count_uploads(self, period: TimeRange | None = None) -> int:
        """The number of uploads published in a period."""
        return self._run(
            lambda connection: reading.count_uploads(connection, period or TimeRange())
        )

    def dead_letters(self) -> Iterator[DeadLetter]:
        """Iterate over the dead letters, oldest first, page by page."""
        return self._pages(reading.dead_letter_page, None, 50)

    def find(
        self,
        chosen: CaseFilter | None = None,
        *,
        newest_first: bool = True,
        after: CaseSummary | None = None,
        limit: int = 50,
    ) -> list[CaseSummary]:
        """One page of the decided cases, ordered by the time of the current verdict.

        Args:
            chosen: Which cases; by default all.
            newest_first: The order.
            after: The last row of the previous page.
            limit: The most rows of a page.

        Raises:
            ValueError: If ``after`` has no verdict.
        """
        mark = None
        if after is not None:
            if after.at is None:
                msg = "after must be a case that has a verdict"
                raise ValueError(msg)
            mark = (after.at, after.upload_id)
        return self._run(
            lambda connection: reading.summary_page(
                connection,
                chosen or CaseFilter(),
                newest_first=newest_first,
                after=mark,
                limit=limit,
            )
        )

    def count(
        self,
        chosen: CaseFilter | None = None,
        by: Literal["action", "category", "rule"] = "action",
    ) -> dict[str | None, int]:
        """The number of matching decided cases by current action, category or rule."""
        return self._run(
            lambda connection: reading.count_cases(connection, chosen or CaseFilter(), by)
        )

    def stats(self) -> dict[str, int]:
        """The number of rows of each table."""
        return self._run(reading.stats)

    # Deleting

    def prune(
        self, before: datetime, *, letters_before: datetime | None = None, dry_run: bool = True
    ) -> Pruned:
        """Retention: delete the cases that did not change since ``before``, but those on hold.

        Args:
            before: Cases published, decided and reviewed before this time are deleted whole.
            letters_before: Dead letters from before this time are deleted; by default ``before``.
            dry_run: Only count.
        """
        return erasure.prune(self._run, before, letters_before, at=now(), dry_run=dry_run)

    def forget(self, uploader: str, *, dry_run: bool = True) -> Forgotten:
        """Erasure: delete all rows of one uploader, and refuse replays of its older messages.

        Uploads that a legal hold covers stay; the result names them.
        """
        at = now()
        return self._run(
            lambda connection: erasure.forget(connection, uploader, at, dry_run=dry_run),
            writes=not dry_run,
        )

    # Runs

    def record_run(self, run: Run) -> None:
        """Record a batch run that has ended."""
        self._run(lambda connection: runs.write_run(connection, run), writes=True)

    def last_run(self) -> Run | None:
        """The batch run that ended last; None if there was none."""
        return self._run(runs.last_run)

    def _pages(
        self,
        read: Callable[..., list[tuple[reading.Mark, T]]],
        period: TimeRange | None,
        page: int,
    ) -> Iterator[T]:
        after = None
        while True:
            found = self._run(partial(read, period=period or TimeRange(), after=after, limit=page))
            yield from (value for _, value in found)
            if len(found) < page:
                return
            after = found[-1][0]
