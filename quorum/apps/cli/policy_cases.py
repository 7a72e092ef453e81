"""Where ``quorum policy`` takes past cases from: files of cases, or the ledger."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from quorum.aggregator.case.history import History
from quorum.aggregator.policy.policy import Policy
from quorum.aggregator.study.record import PastCase, read_cases
from quorum.core.errors import InputError

if TYPE_CHECKING:
    from quorum.store.ledger import LedgerCase, TimeRange

__all__ = ["Cases", "Database", "Limit", "Since", "Until", "case_lines", "past_cases", "span"]

Cases = Annotated[
    list[Path] | None,
    typer.Option("--cases", help="A file of past cases, one JSON object a line; may be repeated."),
]
Database = Annotated[
    str | None,
    typer.Option(help="Take the cases from this ledger instead; `-` for QUORUM_DATABASE."),
]
Since = Annotated[datetime | None, typer.Option(help="Only cases decided from then on (UTC).")]
Until = Annotated[datetime | None, typer.Option(help="Only cases decided before then (UTC).")]
Limit = Annotated[int | None, typer.Option(help="No more than so many cases.")]


def past_cases(
    files: list[Path] | None,
    database: str | None,
    since: datetime | None = None,
    until: datetime | None = None,
    limit: int | None = None,
    policy: Policy | None = None,
    versions: Mapping[str, str] | None = None,
) -> Iterator[PastCase]:
    """The cases that the options name.

    Args:
        files: Files of cases.
        database: The ledger's URL; ``-`` for the one of the environment.
        since: Only cases decided from then on.
        until: Only cases decided before then.
        limit: No more than so many.
        policy: Where its rules read the uploader's history, that is told from the ledger.
        versions: Versions of detectors whose answers are wanted too.

    Raises:
        InputError: If none are named, or a file holds something else.
    """
    if database is not None:
        url = None if database == "-" else database
        found = _ledger_cases(url, span(since, until), policy, versions)
    elif files:
        found = read_cases(files)
    else:
        msg = "name past cases with --cases FILE or --database URL"
        raise InputError(msg)
    return islice(found, limit)


def case_lines(
    files: list[Path] | None,
    database: str | None,
    since: datetime | None = None,
    until: datetime | None = None,
    limit: int | None = None,
    policy: Policy | None = None,
    versions: Mapping[str, str] | None = None,
) -> Iterable[bytes]:
    """The same cases as lines, unread, so that several processes can share the reading."""
    if database is None and files:
        return islice(_lines(files), limit)
    cases = past_cases(files, database, since, until, limit, policy, versions)
    return (case.to_json().encode() for case in cases)


def _lines(files: list[Path]) -> Iterator[bytes]:
    for file in files:
        try:
            with file.open("rb") as lines:
                yield from lines
        except OSError as error:
            msg = f"cannot read the cases {file}: {error.strerror or error}"
            raise InputError(msg) from None


def span(since: datetime | None, until: datetime | None) -> TimeRange:
    """The range of time that the options name; times without a zone are UTC.

    Raises:
        InputError: If it ends before it begins.
    """
    from quorum.store.ledger import TimeRange

    try:
        return TimeRange(_utc(since), _utc(until))
    except ValueError as error:
        raise InputError(str(error)) from None


def _utc(when: datetime | None) -> datetime | None:
    return None if when is None else when.replace(tzinfo=when.tzinfo or UTC)


def _ledger_cases(
    url: str | None,
    within: TimeRange,
    policy: Policy | None,
    versions: Mapping[str, str] | None,
) -> Iterator[PastCase]:
    """Cases in the order of their verdicts, each with its uploader's history as it stood."""
    from quorum.store.ledger import Ledger, TimeRange

    histories: dict[str, History] = {}
    told = policy is not None and policy.reads_history
    with Ledger(url) as ledger:
        if told and policy is not None and within.since is not None:
            before = TimeRange(None, within.since)
            for case in ledger.cases(before, order="decided", parts=("upload", "verdicts")):
                _remember(histories, case, policy)
        for case in ledger.cases(within, order="decided"):
            if case.upload is None:
                continue
            known = None
            if told and policy is not None and case.verdict is not None:
                history = histories.get(case.upload.uploader)
                known = None if history is None else history.uploader(case.verdict.at)
                _remember(histories, case, policy)
            yield PastCase.gather(
                case.upload, case.predictions, case.verdicts, case.reviews, known, versions
            )


def _remember(histories: dict[str, History], case: LedgerCase, policy: Policy) -> None:
    if case.upload is not None:
        history = histories.setdefault(case.upload.uploader, History(policy))
        for verdict in case.verdicts:
            history.on_verdict(verdict)
