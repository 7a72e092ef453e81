"""The ledger's arguments and results other than messages: immutable values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from datetime import datetime
from typing import Any

from quorum.aggregator.case.contents import content_of
from quorum.core.messages import (
    Action,
    Message,
    PolicyRelease,
    Prediction,
    Review,
    Upload,
    Verdict,
)

__all__ = [
    "CaseFilter",
    "CaseSummary",
    "Delivery",
    "Forgotten",
    "LedgerCase",
    "Owner",
    "PastVerdicts",
    "Pruned",
    "Recordable",
    "Run",
    "SignedRelease",
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
        trace: The context of the verdict's trace (``quorum.core.tracing``); empty for none.
    """

    id: str
    endpoint: str
    upload_id: str
    verdict_id: str
    body: str
    attempts: int = 0
    due_at: datetime | None = None
    error: str | None = None
    trace: str = ""


@dataclass(frozen=True, slots=True)
class Owner:
    """The client of the web service that made an upload; the first one that is recorded stays.

    Attributes:
        upload_id: The upload.
        client: The name of the client's API key.
    """

    upload_id: str
    client: str


@dataclass(frozen=True, slots=True)
class SignedRelease:
    """The release of a policy, as it was signed.

    Attributes:
        release: The release.
        data: The message's bytes.
        attributes: Its attributes, with the signature where there is one.
        sent_at: When a console last published it to the topic; None for never.
    """

    release: PolicyRelease
    data: bytes
    attributes: Mapping[str, str] = field(default_factory=dict)
    sent_at: datetime | None = None


#: What the ledger records.
Recordable = Message | StatementRecord | Delivery | Owner | SignedRelease


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
        predictions: Those of all contents, ordered by detector and time.
        verdicts: All revisions on all contents; the last one is current.
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
        """The current verdict: on the content published last, that of the greatest revision."""
        return self.verdicts[-1] if self.verdicts else None

    @property
    def current_predictions(self) -> tuple[Prediction, ...]:
        """The predictions of the content that the current verdict decided.

        Those that name no content are of the first one.
        """
        if self.verdict is None or self.verdict.digest is None:
            return self.predictions
        current = self.verdict.digest
        edited = any(one.digest not in (None, current) for one in self.verdicts)
        return tuple(
            one
            for one in self.predictions
            if one.digest == current or (one.digest is None and not edited)
        )

    @property
    def awaits_decision(self) -> bool:
        """Whether the upload was edited since its current verdict: what wrote it will decide it."""
        if self.upload is None or self.verdict is None:
            return False
        return content_of(self.verdict, self.upload) != self.upload.digest

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

    @property
    def current_reviews(self) -> tuple[Review, ...]:
        """The counted reviews that are about the content that the current verdict decided."""
        current = None if self.verdict is None else self.verdict.digest
        known = {
            one.id for one in self.verdicts if current is None or one.digest in (None, current)
        }
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
        unsealed: Without sealed cases, which pages do not show.
    """

    actions: tuple[Action, ...] = ()
    categories: tuple[str, ...] = ()
    rules: tuple[str, ...] = ()
    upload: str | None = None
    uploader: str | None = None
    decided: TimeRange = field(default_factory=TimeRange)
    reviewed: bool | None = None
    title: str | None = None
    unsealed: bool = False


@dataclass(frozen=True, slots=True)
class Pruned:
    """The number of rows that retention deleted from each table, or would delete in a dry run.

    ``held`` are the uploads that a legal hold kept.
    """

    uploads: int = 0
    predictions: int = 0
    verdicts: int = 0
    reviews: int = 0
    statements: int = 0
    dead_letters: int = 0
    deliveries: int = 0
    cases: int = 0
    held: tuple[str, ...] = ()

    @classmethod
    def tables(cls) -> tuple[str, ...]:
        """The names of the tables."""
        return tuple(one.name for one in fields(cls) if one.name != "held")

    @property
    def total(self) -> int:
        """The sum of all tables."""
        return sum(getattr(self, name) for name in self.tables())


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
