"""The ledger: the database of uploads, predictions, verdicts, reviews and statements."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from types import TracebackType
from typing import Any, Literal, Self, TypeVar

from sqlalchemy import URL, Connection

from quorum.core.errors import QuorumError
from quorum.core.messages import (
    Action,
    DeadLetter,
    Message,
    Prediction,
    Review,
    Upload,
    Verdict,
    now,
)
from quorum.store.ledger import erasure, outbox, reading, runs
from quorum.store.ledger.connection import database_url
from quorum.store.ledger.errors import LedgerOutdated
from quorum.store.ledger.recording import as_rows, write
from quorum.store.ledger.revisions import check, migrate, revision
from quorum.store.ledger.transactions import RETRY_SECONDS, Transactions
from quorum.store.ledger.values import (
    CaseFilter,
    CaseSummary,
    Delivery,
    Forgotten,
    LedgerCase,
    PastVerdicts,
    Pruned,
    Run,
    Span,
    Statement,
)

__all__ = ["ALL_PARTS", "Ledger"]

T = TypeVar("T")

ALL_PARTS: tuple[reading.Part, ...] = (
    "upload",
    "predictions",
    "verdicts",
    "reviews",
    "statements",
)


class Ledger:
    """The database of all that was said and decided.

    Every ``record_…`` is one transaction: all of its messages are durable when it returns, and
    none of them when it raises. Recording a message again changes nothing, in any order. A
    ledger may be shared by threads; after a fork, make a new one.

    Args:
        url: Where the database is; by default ``QUORUM_DATABASE``, else ``quorum.db`` here.
        create: Make or migrate the tables first.
        check_schema: Refuse a database whose tables are not of this version.
        retry: Waits in seconds before each new try when the database goes away.

    Raises:
        ConfigurationError: If the URL cannot be used.
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
        self._transactions = Transactions(made, retry)
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

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Give the connections back."""
        self._transactions.close()

    def revision(self) -> str | None:
        """The revision of the database's tables; None where there are none of ours."""
        return self._run(revision)

    def transact(self, work: Callable[[Connection], T], *, writes: bool = False) -> T:
        """Do work on other tables of the database, all of it or none, in one transaction.

        Args:
            work: Takes the connection; may be called again if the database goes away.
            writes: Whether it writes.

        Raises:
            LedgerUnavailable: If the database cannot be reached; nothing was written.
        """
        return self._run(work, writes=writes)

    # Writing

    def record(self, messages: Iterable[Message | Statement | Delivery]) -> None:
        """Record messages of any kind, all or none.

        Raises:
            LedgerUnavailable: If the database cannot be reached; nothing was written.
            TypeError: If something else than a message or a statement is given.
        """
        made = as_rows(messages)
        if made:
            self._run(lambda connection: write(connection, made), writes=True)

    def record_uploads(self, uploads: Iterable[Upload]) -> None:
        """Record uploads; of two with one id, the one published later stays."""
        self.record(uploads)

    def record_predictions(self, predictions: Iterable[Prediction]) -> None:
        """Record predictions; of two with one id, the one made later stays."""
        self.record(predictions)

    def record_verdicts(self, verdicts: Iterable[Verdict]) -> None:
        """Record verdicts, with their statements' texts; the greatest (revision, at) is current."""
        self.record(verdicts)

    def record_reviews(self, reviews: Iterable[Review]) -> None:
        """Record reviews."""
        self.record(reviews)

    def record_statements(self, statements: Iterable[Statement]) -> None:
        """Record statements of reasons; one a verdict."""
        self.record(statements)

    def record_dead_letters(self, letters: Iterable[DeadLetter]) -> None:
        """Record dead letters with their original bytes."""
        self.record(letters)

    # Reading

    def get_case(self, upload_id: str) -> LedgerCase | None:
        """All that is known of one upload, or None if nothing is."""
        found = self.get_cases([upload_id])[0]
        known = found.upload or found.predictions or found.verdicts or found.reviews
        return found if known else None

    def get_cases(
        self, upload_ids: Sequence[str], parts: Collection[reading.Part] = ALL_PARTS
    ) -> list[LedgerCase]:
        """These cases, in this order; one of which nothing is known is empty."""
        return self._run(lambda connection: reading.load_cases(connection, upload_ids, parts))

    def cases(
        self,
        span: Span | None = None,
        *,
        order: reading.Order = "published",
        parts: Collection[reading.Part] = ALL_PARTS,
        page: int = 500,
    ) -> Iterator[LedgerCase]:
        """The cases of a range of time, oldest first, read page by page.

        Args:
            span: The range; by default all.
            order: By when the uploads were published (cases whose upload is not recorded are
                left out), or by when their current verdicts were made.
            parts: What to load of each case; less is faster.
            page: How many are held at once.
        """
        after = None
        while True:

            def one_page(
                connection: Connection, after: reading.Mark | None = after
            ) -> tuple[list[reading.Mark], list[LedgerCase]]:
                marks = reading.case_page(connection, span or Span(), order, after, page)
                ids = [mark[1] for mark in marks]
                return marks, reading.load_cases(connection, ids, parts)

            marks, found = self._run(one_page)
            yield from found
            if len(marks) < page:
                return
            after = marks[-1]

    def past_verdicts(
        self, uploaders: Collection[str], actions: Collection[Action]
    ) -> dict[str, PastVerdicts]:
        """The verdicts that hold on each uploader's uploads; the newest of these actions."""
        return self._run(lambda connection: reading.past_verdicts(connection, uploaders, actions))

    def verdicts_before(
        self, uploader: str, actions: Collection[Action], before: datetime
    ) -> PastVerdicts:
        """The verdicts that held on an uploader's uploads at a time; newest of these actions."""
        return self._run(
            lambda connection: reading.verdicts_before(connection, uploader, actions, before)
        )

    def uploads(self, span: Span | None = None, *, page: int = 1000) -> Iterator[Upload]:
        """The uploads published in a range of time, oldest first, read page by page."""
        return self._pages(reading.upload_page, span, page)

    def bounds(self, span: Span | None = None) -> tuple[datetime, datetime] | None:
        """When the first and the last upload of a range were published; None without any."""
        return self._run(lambda connection: reading.bounds(connection, span or Span()))

    def count_uploads(self, span: Span | None = None) -> int:
        """How many uploads were published in a range."""
        return self._run(lambda connection: reading.count_uploads(connection, span or Span()))

    def dead_letters(self, span: Span | None = None, *, page: int = 50) -> Iterator[DeadLetter]:
        """The dead letters of a range of time, oldest first, read page by page."""
        return self._pages(reading.dead_letter_page, span, page)

    def find(
        self,
        chosen: CaseFilter | None = None,
        *,
        newest_first: bool = True,
        after: CaseSummary | None = None,
        limit: int = 50,
    ) -> list[CaseSummary]:
        """One page of a list of decided cases, by the time of the current verdict.

        Args:
            chosen: Which cases; by default all.
            newest_first: The order.
            after: The last row of the page before, to go on from.
            limit: The most rows of a page.
        """
        mark = None
        if after is not None:
            if after.at is None:
                msg = "a page goes on after a decided case only"
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
        """How many decided cases match, by current action, category or rule."""
        return self._run(
            lambda connection: reading.count_cases(connection, chosen or CaseFilter(), by)
        )

    def stats(self) -> dict[str, int]:
        """The number of rows of each table."""
        return self._run(reading.stats)

    # Leaving

    def prune(
        self, before: datetime, *, letters_before: datetime | None = None, dry_run: bool = True
    ) -> Pruned:
        """Retention: take the cases of which nothing happened since ``before``.

        Args:
            before: Cases published, decided and reviewed before this time go, whole.
            letters_before: Dead letters from before this time go; by default ``before``.
            dry_run: Only count.
        """
        for value in (before, letters_before):
            if value is not None and value.tzinfo is None:
                msg = "the time has no zone; write it as 2026-01-31T12:00:00Z"
                raise ValueError(msg)
        letters = self._run(
            lambda connection: erasure.prune_letters(
                connection, letters_before or before, dry_run=dry_run
            ),
            writes=not dry_run,
        )
        strays = self._run(
            lambda connection: erasure.prune_strays(connection, before, dry_run=dry_run),
            writes=not dry_run,
        )
        total = Pruned(dead_letters=letters, predictions=strays)
        if dry_run:
            taken = self._run(
                lambda connection: erasure.prune_cases(
                    connection, erasure.old_cases(connection, before, None), dry_run=True
                )
            )
            return _sum([taken, total])
        counts = [total]
        while True:
            # In small transactions: a recorder of the stream must not wait for all of it.
            taken = self._run(
                lambda connection: erasure.prune_cases(
                    connection, erasure.old_cases(connection, before, 1000), dry_run=False
                ),
                writes=True,
            )
            if not taken.cases:
                return _sum(counts)
            counts.append(taken)

    def forget(self, uploader: str, *, dry_run: bool = True) -> Forgotten:
        """Erasure: take all of one uploader; a replay of older messages does not bring it back."""
        at = now()
        return self._run(
            lambda connection: erasure.forget(connection, uploader, at, dry_run=dry_run),
            writes=not dry_run,
        )

    # Runs

    def record_run(self, run: Run) -> None:
        """Record a batch run that ended."""
        self._run(lambda connection: runs.write_run(connection, run), writes=True)

    def last_run(self) -> Run | None:
        """The batch run that ended last."""
        return self._run(runs.last_run)

    # Deliveries

    def claim_deliveries(self, *, lease: timedelta, limit: int = 50) -> list[Delivery]:
        """Take deliveries that are due; for the lease no other worker sees them."""
        at = now()
        return self._run(
            lambda connection: outbox.claim_deliveries(connection, at, at + lease, limit),
            writes=True,
        )

    def postpone_delivery(self, delivery: Delivery, due_at: datetime, error: str) -> None:
        """Try a delivery again later."""
        self._run(
            lambda connection: outbox.postpone_delivery(connection, delivery, due_at, error),
            writes=True,
        )

    def end_delivery(self, delivery: Delivery, error: str | None = None) -> None:
        """A delivery was made, or, with an error, given up."""
        at = now()
        self._run(
            lambda connection: outbox.end_delivery(connection, delivery, at, error), writes=True
        )

    # The rim

    def _pages(
        self,
        read: Callable[[Connection, Span, Any, int], list[tuple[reading.Mark, T]]],
        span: Span | None,
        page: int,
    ) -> Iterator[T]:
        after = None
        while True:
            found = self._run(
                lambda connection, after=after: read(connection, span or Span(), after, page)  # type: ignore[misc]
            )
            yield from (value for _, value in found)
            if len(found) < page:
                return
            after = found[-1][0]


def _sum(parts: Iterable[Pruned]) -> Pruned:
    found = list(parts)
    return Pruned(**{name: sum(getattr(part, name) for part in found) for name in Pruned.__slots__})
