"""What the ledger takes and gives back besides messages: plain frozen values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from quorum.core.messages import Action, Message, Prediction, Review, Upload, Verdict

__all__ = [
    "CaseFilter",
    "CaseSummary",
    "Delivery",
    "Forgotten",
    "LedgerCase",
    "PastVerdicts",
    "Pruned",
    "Recordable",
    "Run",
    "StatementRecord",
    "TimeRange",
]


@dataclass(frozen=True, slots=True)
class TimeRange:
    """A range of time, from ``since`` up to, but without, ``until``; None is open.

    Raises:
        ValueError: If a time has no zone, or the span ends before it begins.
    """

    since: datetime | None = None
    until: datetime | None = None

    def __post_init__(self) -> None:
        for name, value in (("since", self.since), ("until", self.until)):
            if value is not None and value.tzinfo is None:
                msg = f"{name} has no time zone; write it as 2026-01-31T12:00:00Z"
                raise ValueError(msg)
        if self.since and self.until and self.until < self.since:
            msg = f"until ({self.until}) lies before since ({self.since})"
            raise ValueError(msg)


@dataclass(frozen=True, slots=True)
class PastVerdicts:
    """The verdicts that hold on one uploader's uploads.

    Attributes:
        decided: How many uploads were decided.
        chosen: Those of the actions that were asked for, newest first: upload, action and time.
    """

    decided: int = 0
    chosen: tuple[tuple[str, Action, datetime], ...] = ()


@dataclass(frozen=True, slots=True)
class StatementRecord:
    """The reasons that are owed to an uploader for one verdict.

    Attributes:
        verdict_id: The verdict that it explains; one statement a verdict.
        upload_id: The upload.
        at: When it was made.
        text: In plain words, for the uploader.
        record: The fields of a transparency database's submission, where one was made.
    """

    verdict_id: str
    upload_id: str
    at: datetime
    text: str
    record: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Delivery:
    """A verdict that is to be told to an endpoint.

    Attributes:
        id: The same for the same verdict and endpoint, so that it is told once.
        endpoint: Name of the endpoint.
        upload_id: The upload.
        verdict_id: The verdict.
        body: What is sent, as JSON.
        attempts: How often it was tried.
        due_at: When to try next; None when it ended.
        error: Why the last try failed.
    """

    id: str
    endpoint: str
    upload_id: str
    verdict_id: str
    body: str
    attempts: int = 0
    due_at: datetime | None = None
    error: str | None = None


#: What the ledger records.
Recordable = Message | StatementRecord | Delivery


@dataclass(frozen=True, slots=True)
class Run:
    """A batch run that ended.

    Attributes:
        id: Its id.
        started_at: When it began.
        ended_at: When it ended.
        policy_version: What decided.
        summary: What it found, as JSON values.
    """

    id: str
    started_at: datetime
    ended_at: datetime
    policy_version: str
    summary: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class LedgerCase:
    """All that the ledger knows of one upload.

    Attributes:
        upload_id: The upload's id.
        upload: The event; None where only what was said of it has been recorded.
        predictions: By detector, then by time.
        verdicts: All revisions; the last one is current.
        reviews: By time.
        statements: By time.
    """

    upload_id: str
    upload: Upload | None = None
    predictions: tuple[Prediction, ...] = ()
    verdicts: tuple[Verdict, ...] = ()
    reviews: tuple[Review, ...] = ()
    statements: tuple[StatementRecord, ...] = ()

    @property
    def verdict(self) -> Verdict | None:
        """The current verdict: the one with the greatest (revision, at)."""
        return self.verdicts[-1] if self.verdicts else None


@dataclass(frozen=True, slots=True)
class CaseSummary:
    """One case as a list shows it: the upload's facts and its current verdict."""

    upload_id: str
    uploader: str | None
    title: str | None
    language: str | None
    published_at: datetime | None
    verdict_id: str | None
    revision: int | None
    action: Action | None
    category: str | None
    rule: str | None
    policy_version: str | None
    decided_by: str | None
    at: datetime | None
    latency: float | None
    top_score: float | None
    reviewed_at: datetime | None


@dataclass(frozen=True, slots=True)
class CaseFilter:
    """Which cases a list shows; an empty field admits all.

    Attributes:
        actions: The current action is one of these.
        categories: The category is one of these.
        rules: The rule that decided is one of these.
        upload: This upload alone.
        uploader: Exactly this uploader.
        decided: The current verdict's time lies in this span.
        reviewed: Whether a human has decided.
        title: Words that the title holds, in any case; ``%`` and ``_`` are just characters.
    """

    actions: tuple[Action, ...] = ()
    categories: tuple[str, ...] = ()
    rules: tuple[str, ...] = ()
    upload: str | None = None
    uploader: str | None = None
    decided: TimeRange = field(default_factory=TimeRange)
    reviewed: bool | None = None
    title: str | None = None


@dataclass(frozen=True, slots=True)
class Pruned:
    """How many rows of each table retention took (or, on a dry run, would take)."""

    uploads: int = 0
    predictions: int = 0
    verdicts: int = 0
    reviews: int = 0
    statements: int = 0
    dead_letters: int = 0
    deliveries: int = 0
    cases: int = 0

    @property
    def total(self) -> int:
        """All rows together."""
        return sum(getattr(self, name) for name in self.__slots__)


@dataclass(frozen=True, slots=True)
class Forgotten:
    """What the erasure of one uploader took (or, on a dry run, would take).

    Attributes:
        rows: How many rows of each table.
        unread: Dead letters whose bytes tell no uploader: they may hold some of theirs, and
            only retention takes them.
    """

    rows: Pruned
    unread: int
