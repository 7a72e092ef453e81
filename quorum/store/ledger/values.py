"""The ledger's arguments and results other than messages: immutable values."""

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
    """A half-open range of time: from ``since`` to before ``until``; None is unbounded.

    Raises:
        ValueError: If a time has no zone, or ``until`` is before ``since``.
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
    """The current verdicts on one uploader's uploads.

    Attributes:
        decided: The number of decided uploads.
        chosen: The verdicts with the requested actions, newest first: upload, action and time.
    """

    decided: int = 0
    chosen: tuple[tuple[str, Action, datetime], ...] = ()


@dataclass(frozen=True, slots=True)
class StatementRecord:
    """The statement of reasons for one verdict, as it is stored.

    Attributes:
        verdict_id: The verdict that it explains; a verdict has at most one statement.
        upload_id: The upload.
        at: When it was made.
        text: The text for the uploader.
        record: The fields of the submission to a transparency database, if there is one.
    """

    verdict_id: str
    upload_id: str
    at: datetime
    text: str
    record: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Delivery:
    """The delivery of a verdict to a webhook endpoint.

    Attributes:
        id: A digest of the verdict and the endpoint, so that there is one delivery for each pair.
        endpoint: The endpoint's name.
        upload_id: The upload.
        verdict_id: The verdict.
        body: The request's body, as JSON.
        attempts: The number of attempts.
        due_at: The time of the next attempt; None when it has ended.
        error: The error of the last attempt.
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
    """A batch run that has ended.

    Attributes:
        id: Its id.
        started_at: When it started.
        ended_at: When it ended.
        policy_version: The version of the policy.
        summary: Its results, as JSON values.
    """

    id: str
    started_at: datetime
    ended_at: datetime
    policy_version: str
    summary: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class LedgerCase:
    """All that is recorded of one upload.

    Attributes:
        upload_id: The upload's id.
        upload: The upload; None if it is not recorded.
        predictions: Ordered by detector and time.
        verdicts: All revisions; the last one is current.
        reviews: Ordered by time.
        statements: Ordered by time.
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

    @property
    def verdict_ids(self) -> tuple[str, ...]:
        """The ids of all verdicts, in their order."""
        return tuple(verdict.id for verdict in self.verdicts)

    def verdict_of(self, review: Review) -> Verdict | None:
        """The verdict that a review names; None if it is none of this upload."""
        return next((one for one in self.verdicts if one.id == review.verdict_id), None)

    @property
    def counted_reviews(self) -> tuple[Review, ...]:
        """The reviews that name a verdict on the upload; others decide nothing."""
        known = set(self.verdict_ids)
        return tuple(review for review in self.reviews if review.verdict_id in known)


@dataclass(frozen=True, slots=True)
class CaseSummary:
    """A row of a list of cases: the upload's facts and its current verdict."""

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
    """A filter of cases; an empty field matches all.

    Attributes:
        actions: Any of these current actions.
        categories: Any of these categories.
        rules: Any of these deciding rules.
        upload: This upload only.
        uploader: This uploader only.
        decided: The period of the current verdict's time.
        reviewed: Whether a human has decided.
        title: A part of the title, in any case; ``%`` and ``_`` have no special meaning.
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
    """The number of rows that retention deleted from each table, or would delete in a dry run."""

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
        """The sum of all tables."""
        return sum(getattr(self, name) for name in self.__slots__)


@dataclass(frozen=True, slots=True)
class Forgotten:
    """The result of the erasure of one uploader, or of its dry run.

    Attributes:
        rows: The number of deleted rows of each table.
        unread: The number of dead letters without a known owner: they may be the uploader's, and
            only retention deletes them.
    """

    rows: Pruned
    unread: int
