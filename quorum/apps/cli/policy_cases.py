"""The past cases that ``quorum policy`` reads: from files, or from the ledger."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from quorum.aggregator.case.history import History
from quorum.aggregator.policy.policy import Policy
from quorum.aggregator.study.features import with_features
from quorum.aggregator.study.record import PastCase, read_cases
from quorum.core.errors import InputError

if TYPE_CHECKING:
    from quorum.store.ledger import LedgerCase, TimeRange

__all__ = ["CaseSelection", "Cases", "Database", "Limit", "Name", "Since", "Until", "time_range"]

Name = Annotated[str, typer.Argument(help="A policy's file, or the name of a shipped policy.")]
Cases = Annotated[
    list[Path] | None,
    typer.Option("--cases", help="A file of past cases, one JSON object a line. Repeatable."),
]
Database = Annotated[
    str | None,
    typer.Option(help="Read the cases from this ledger instead; `-` for QUORUM_DATABASE."),
]
Since = Annotated[datetime | None, typer.Option(help="Only cases decided at or after (UTC).")]
Until = Annotated[datetime | None, typer.Option(help="Only cases decided before (UTC).")]
Limit = Annotated[int | None, typer.Option(help="At most so many cases.")]


@dataclass(frozen=True)
class CaseSelection:
    """Which past cases to read."""

    cases: Cases = None
    database: Database = None
    since: Since = None
    until: Until = None
    limit: Limit = None

    @property
    def given(self) -> bool:
        """Whether the options name any cases."""
        return bool(self.cases or self.database)

    def read(
        self, policy: Policy | None = None, versions: Mapping[str, str] | None = None
    ) -> Iterator[PastCase]:
        """Read the cases.

        Args:
            policy: If its rules read the uploader's history, that is taken from the ledger.
            versions: Detector versions whose predictions are read too.

        Raises:
            InputError: If the options name no cases, or a file has something else.
        """
        if self.database is not None:
            url = None if self.database == "-" else self.database
            within = time_range(self.since, self.until)
            return islice(_ledger_cases(url, within, policy, versions), self.limit)
        if self.cases:
            return islice(read_cases(self.cases), self.limit)
        msg = "name past cases with --cases FILE or --database URL"
        raise InputError(msg)

    def lines(
        self,
        policy: Policy | None = None,
        versions: Mapping[str, str] | None = None,
        base: Policy | None = None,
    ) -> Iterable[bytes]:
        """The same cases as unparsed lines, which several processes can parse.

        Where a policy has features over time, all cases are read first, and counted in the order
        in which they were published.
        """
        policies = [one for one in (policy, base) if one is not None]
        if any(one.has_features for one in policies):
            cases = with_features(self.read(policy, versions), policies)
            return (case.to_json().encode() for case in cases)
        if self.database is None and self.cases:
            return islice(_lines(self.cases), self.limit)
        return (case.to_json().encode() for case in self.read(policy, versions))


def _lines(files: list[Path]) -> Iterator[bytes]:
    for file in files:
        try:
            with file.open("rb") as lines:
                yield from lines
        except OSError as error:
            msg = f"cannot read the cases {file}: {error.strerror or error}"
            raise InputError(msg) from None


def time_range(since: datetime | None, until: datetime | None) -> TimeRange:
    """The range of time from ``since`` until before ``until``; without a zone they are UTC.

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
    """Cases in the order of their verdicts, each with its uploader's history at that time."""
    from quorum.store.ledger import Ledger, TimeRange

    histories: dict[str, History] = {}
    reads_history = policy is not None and policy.reads_history
    with Ledger(url) as ledger:
        if reads_history and policy is not None and within.since is not None:
            before = TimeRange(None, within.since)
            for case in ledger.cases(before, order="decided", parts=("upload", "verdicts")):
                _remember(histories, case, policy)
        for case in ledger.cases(within, order="decided"):
            if case.upload is None:
                continue
            known = None
            if reads_history and policy is not None and case.verdict is not None:
                history = histories.get(case.upload.uploader)
                known = None if history is None else history.uploader(case.verdict.at)
                _remember(histories, case, policy)
            yield PastCase.gather(
                case.upload,
                case.current_predictions,
                case.verdicts,
                case.current_reviews,
                known,
                versions,
            )


def _remember(histories: dict[str, History], case: LedgerCase, policy: Policy) -> None:
    if case.upload is not None:
        side = policy.decides(case.upload.uploader, case.upload.id)
        history = histories.setdefault(case.upload.uploader, History(side))
        for verdict in case.verdicts:
            history.on_verdict(verdict)
