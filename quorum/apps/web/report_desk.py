"""Users' reports at the web service: their bodies, who sends them, and webhooks of the outcome."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Annotated, Final, Literal

from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import Connection, select, update

from quorum.aggregator.policy.categories import SHIPPED_CATEGORIES
from quorum.apps.http.keys import ApiKey
from quorum.apps.web.endpoints import Endpoint, queue
from quorum.core.errors import ConfigurationError, InputError
from quorum.core.messages import now
from quorum.core.settings import ReportSettings
from quorum.store.ledger import Ledger
from quorum.store.ledger.reports_schema import reports
from quorum.store.reports.intake import MAX_TEXT, Intake
from quorum.store.reports.reading import Answer, answer_of
from quorum.store.reports.settling import link_uploads, settle
from quorum.store.reports.values import Notice, Reporter, ReportLimits, Taken

__all__ = ["ReportAnswer", "ReportBody", "ReportDesk", "ReportState", "desk_of"]

#: Outcomes older than this are not sent to endpoints that were configured since.
_NEWS: Final = timedelta(days=7)
_BATCH: Final = 200

Identifier = Annotated[str, Field(min_length=1, max_length=256)]


class ReportBody(BaseModel):
    """A user's report of an upload, or a notice of illegal content (Article 16 of the DSA)."""

    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True)

    upload_id: Identifier | None = None
    """The upload; or give its address in `location`."""
    location: Annotated[str, Field(max_length=2048)] = ""
    """The address of the content, where the upload's id is not known."""
    reporter: Identifier | None = None
    """Your own id of the user who reports; a trusted flagger's key needs none."""
    category: Annotated[str, Field(max_length=64)] = "not-specified-notice"
    """A category of harm of the DSA, such as `scams-and-fraud`, or one of the policy."""
    law: bool = False
    """Whether it says that the content is illegal; else that it is against your rules."""
    text: Annotated[str, Field(max_length=MAX_TEXT)] = ""
    """Why."""
    name: Annotated[str, Field(max_length=256)] = ""
    """The reporter's name, which a notice of illegal content should have."""
    email: Annotated[str, Field(max_length=256)] = ""
    """Their address, which you answer to."""
    good_faith: bool = False
    """Whether they state that the report is right and complete."""
    reference: Identifier | None = None
    """Your own id of this report; webhooks bring it back."""


class ReportAnswer(BaseModel):
    """What became of a report that was sent."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    id: str
    """The report."""
    address: str | None
    """Its own secret address, to ask for the outcome; null if it was known: use the first one."""
    state: str
    """`open`, or how it was answered at once: `upheld`, `rejected`, `moot`."""
    known: bool
    """Whether this upload is known here; if not, the report is kept and waits for a person."""
    reports: int
    """How many reported this content; it is one case."""
    due_at: datetime | None
    """When a person should have looked at it."""
    lacks: tuple[str, ...]
    """What Article 16(2) asks of a notice and this one has not; it is kept all the same."""

    @classmethod
    def of(cls, taken: Taken) -> ReportAnswer:
        """The answer to a report that was taken."""
        address = None if taken.token is None else f"/v1/reports/{taken.token}"
        return cls(
            id=taken.id,
            address=address,
            state=taken.state,
            known=taken.known,
            reports=taken.reports,
            due_at=taken.due_at,
            lacks=taken.lacks,
        )


class ReportState(BaseModel):
    """The outcome of a report, at its own secret address."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    id: str
    """The report."""
    at: datetime
    """When it came."""
    state: str
    """`open`, `upheld`, `rejected`, or `moot` if the content was gone before."""
    outcome: str
    """The same in words, for the reporter."""
    action: str | None
    """What happened to the upload: `allow`, `restrict` or `remove`."""
    decided_at: datetime | None
    """When it was decided."""
    lacks: tuple[str, ...]
    """See the answer to the report."""

    @classmethod
    def of(cls, answer: Answer) -> ReportState:
        """The outcome as it is stored."""
        return cls(
            id=answer.id,
            at=answer.at,
            state=answer.state,
            outcome=answer.sentence,
            action=answer.action,
            decided_at=answer.decided_at,
            lacks=answer.lacks,
        )


class ReportOutcome(ReportState):
    """The outcome of a report, for the platform that sent it."""

    upload_id: str | None
    """The upload."""
    reference: str | None
    """The platform's own id of the report."""


class ReportWebhookBody(BaseModel):
    """What a webhook with the event ``report`` brings, in the form of Standard Webhooks."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    type: Literal["report"] = "report"
    """What ``data`` is."""
    timestamp: datetime
    """When it was decided."""
    data: ReportOutcome
    """The outcome."""


class ReportDesk:
    """Takes reports of clients, and tells endpoints their outcomes.

    Args:
        ledger: The ledger.
        settings: Trusted flaggers and limits.
    """

    def __init__(self, ledger: Ledger, settings: ReportSettings) -> None:
        self._ledger = ledger
        self._trusted = frozenset(settings.trusted_flaggers)
        limits = ReportLimits(
            user=settings.per_hour,
            public=settings.public_per_hour,
            trusted=settings.trusted_per_hour,
        )
        self._intake = Intake(ledger, limits)

    def take(self, body: ReportBody, client: str, categories: Sequence[str]) -> Taken:
        """Take a client's report.

        Args:
            body: The report.
            client: The name of its API key.
            categories: The policy's categories.

        Raises:
            InputError: If it cannot be taken; the text states the mend.
            ReporterRefused: If the reporter is over their limit, or suspended.
        """
        if body.category not in SHIPPED_CATEGORIES and body.category not in categories:
            known = ", ".join(sorted({*SHIPPED_CATEGORIES, *categories}))
            msg = f"category: unknown; there are {known}"
            raise InputError(msg)
        if client in self._trusted:
            reporter = Reporter("trusted", client, client)
        elif body.reporter is None:
            msg = "reporter: give your own id of the user who reports"
            raise InputError(msg)
        else:
            reporter = Reporter("user", body.reporter, client)
        return self._intake.take(
            Notice(
                reporter=reporter,
                upload_id=body.upload_id,
                location=body.location,
                category=body.category,
                law=body.law,
                text=body.text,
                name=body.name,
                email=body.email,
                good_faith=body.good_faith,
                reference=body.reference,
            )
        )

    def answer(self, token: str) -> Answer | None:
        """The outcome at a report's secret address."""
        return self._ledger.transact(lambda connection: answer_of(connection, token))

    def tell(self, endpoints: Sequence[Endpoint]) -> int:
        """Close what was decided and queue webhooks of the outcomes; returns how many reports."""
        told = [one for one in endpoints if "report" in one.events]
        if not told:
            return 0

        def work(connection: Connection) -> int:
            link_uploads(connection)
            settle(connection)
            return _queue(connection, told, now())

        return self._ledger.transact(work, writes=True)


def _queue(connection: Connection, endpoints: Sequence[Endpoint], at: datetime) -> int:
    r = reports.c
    query = (
        select(reports)
        .where(r.told_at.is_(None), r.decided_at > at - _NEWS, r.client.is_not(None))
        .order_by(r.decided_at)
        .limit(_BATCH)
    )
    rows = connection.execute(query).all()
    for row in rows:
        lacks = tuple(row.lacks.split(",")) if row.lacks else ()
        answer = Answer(row.id, row.at, row.state, row.decided_at, row.action, row.upload_id, lacks)
        outcome = ReportOutcome(
            **ReportState.of(answer).model_dump(),
            upload_id=row.upload_id,
            reference=row.reference,
        )
        body = ReportWebhookBody(timestamp=row.decided_at, data=outcome).model_dump_json()
        queue(connection, endpoints, ("report", row.id), row.upload_id, body, at)
    if rows:
        ids = [row.id for row in rows]
        connection.execute(update(reports).where(r.id.in_(ids)).values(told_at=at))
    return len(rows)


def desk_of(
    ledger: Ledger | None, keys: Sequence[ApiKey] | None, settings: ReportSettings
) -> ReportDesk | None:
    """The desk of a service; None where nothing is recorded.

    Raises:
        ConfigurationError: If a trusted flagger has no key, or one without the scope ``report``.
    """
    if keys is not None:
        able = {key.name for key in keys if key.allows("report")}
        for name in settings.trusted_flaggers:
            if name not in able:
                msg = (
                    f"reports.trusted_flaggers names {name}, which has no key with the scope "
                    f"report: make one with quorum serve --new-key {name} --scopes report"
                )
                raise ConfigurationError(msg)
    return None if ledger is None else ReportDesk(ledger, settings)
