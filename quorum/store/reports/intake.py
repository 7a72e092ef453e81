"""Takes reports: throttled by reporter, one case for each content."""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import Connection, Row, func, insert, or_, select, update

from quorum.aggregator.policy.severity import service_level, severity
from quorum.core.errors import InputError
from quorum.core.messages import Action, digest, now
from quorum.store.ledger import Ledger
from quorum.store.ledger.reading import load_cases
from quorum.store.ledger.reports_schema import report_cases, reports
from quorum.store.ledger.statements import lock_name
from quorum.store.reports.throttle import Refused, ReporterRefused, Throttle, reporter_id
from quorum.store.reports.values import Notice, ReportLimits, Taken, Track

__all__ = [
    "MAX_TEXT",
    "Intake",
    "ReporterRefused",
    "due_after",
    "plain_text",
    "stated_reason",
    "token_digest",
]

MAX_TEXT: Final = 4000
_MAX_LOCATION: Final = 2048
_MAX_REASON: Final = 1000
#: An answer that a person gave to a report is given to the next on the same content and category.
_ANSWER_HOLDS: Final = timedelta(days=30)


def token_digest(token: str) -> str:
    """What is stored of the secret in a report's address."""
    return hashlib.sha256(token.encode("utf-8", "replace")).hexdigest()


def due_after(category: str, *, trusted: bool) -> timedelta:
    """How soon a person should look at a report: half the time for trusted flaggers."""
    return service_level(category) / (2 if trusted else 1)


class Intake:
    """Takes reports into a ledger.

    Args:
        ledger: The ledger.
        limits: How many reports of one reporter are taken.
    """

    def __init__(self, ledger: Ledger, limits: ReportLimits | None = None) -> None:
        self._ledger = ledger
        self._throttle = Throttle(limits or ReportLimits())

    def take(self, notice: Notice) -> Taken:
        """Take a report.

        Raises:
            InputError: If it names nothing, or is too long.
            ReporterRefused: If the reporter is over their limit, or suspended.
        """
        notice = _checked(notice)
        name = reporter_id(notice.reporter)
        at = now()
        self._throttle.check(name, at)
        made = self._ledger.transact(
            lambda connection: self._take(connection, notice, name, at), writes=True
        )
        if isinstance(made, Taken):
            return made
        self._throttle.remember(name, made)
        raise made.error(at)

    def _take(
        self, connection: Connection, notice: Notice, name: str, at: datetime
    ) -> Taken | Refused:
        who = self._throttle.admit(connection, notice.reporter, name, at)
        if isinstance(who, Refused):
            return who
        # One content, one case, whoever reports it at the same time.
        lock_name(connection, f"report {notice.upload_id or notice.location}")
        content, answered = _content(connection, notice, at)
        case_id = _case(connection, notice, content, at, answered)
        report_id = digest("report", name, case_id)
        query = select(reports).where(reports.c.id == report_id)
        known = connection.execute(query).first()
        case = connection.execute(select(report_cases).where(report_cases.c.id == case_id)).one()
        if known is not None:
            return _told(known, case, None, new=False)
        token = secrets.token_urlsafe(32)
        trusted = notice.reporter.kind == "trusted"
        outcome = None if case.state == "open" else case.outcome
        row = {
            "id": report_id,
            "case_id": case_id,
            "reporter_id": name,
            "upload_id": notice.upload_id,
            "at": at,
            "category": notice.category,
            "law": notice.law,
            "trusted": trusted,
            "text": notice.text,
            "name": notice.name,
            "email": notice.email,
            "lacks": ",".join(notice.lacks),
            "client": notice.reporter.client,
            "reference": notice.reference,
            "token": token_digest(token),
            "state": outcome or "open",
            "repeat": outcome is not None,
            "decided_at": at if outcome else None,
            "action": case.action if outcome else None,
        }
        connection.execute(insert(reports), row)
        if outcome is None:
            case = _joined(connection, case, notice, who, at)
        else:
            connection.execute(
                update(report_cases)
                .where(report_cases.c.id == case_id)
                .values(reports=report_cases.c.reports + 1)
            )
        made = connection.execute(query).one()
        return _told(made, case, token, new=True)


def _checked(notice: Notice) -> Notice:
    location = notice.location.strip()
    if not notice.upload_id and not location:
        msg = "name what is reported: upload_id, or the address as location"
        raise InputError(msg)
    for name, most in (("text", MAX_TEXT), ("location", _MAX_LOCATION), ("category", 64)):
        if len(getattr(notice, name)) > most:
            msg = f"{name} has more than {most:,} characters"
            raise InputError(msg)
    for name in ("name", "email", "reference"):
        if len(getattr(notice, name) or "") > 256:
            msg = f"{name} has more than 256 characters"
            raise InputError(msg)
    # An id that no upload may have names an upload that the ledger will never know.
    upload_id = notice.upload_id or None
    if upload_id is not None and (len(upload_id) > 256 or plain_text(upload_id) != upload_id):
        msg = "upload_id has 1 to 256 characters"
        raise InputError(msg)
    who = replace(notice.reporter, name=plain_text(notice.reporter.name))
    reference = None if notice.reference is None else plain_text(notice.reference)
    return replace(
        notice,
        text=plain_text(notice.text),
        category=plain_text(notice.category),
        name=plain_text(notice.name),
        email=plain_text(notice.email),
        reporter=who,
        upload_id=upload_id,
        location=plain_text(location),
        reference=reference,
    )


def plain_text(value: str) -> str:
    """Text that every database takes: without NUL and lone surrogates."""
    return value.replace("\x00", "\ufffd").encode("utf-8", "replace").decode()


def stated_reason(text: str) -> str:
    """A reason that a person states, as it is kept.

    Raises:
        InputError: If it is empty or too long.
    """
    text = plain_text(text).strip()
    if not text or len(text) > _MAX_REASON:
        msg = f"state why, in 1 to {_MAX_REASON:,} characters"
        raise InputError(msg)
    return text


def _content(
    connection: Connection, notice: Notice, at: datetime
) -> tuple[str | None, tuple[str, str | None] | None]:
    """The digest of the reported content, and what answers the report at once.

    That is a removal before it, or a person's answer to an earlier report on the same content and
    category. A trusted flagger's report is looked at again.
    """
    if notice.upload_id is None:
        return None, None
    (case,) = load_cases(connection, [notice.upload_id], ("upload", "verdicts"))
    if case.upload is None:
        return None, None
    verdict = case.verdict
    if verdict is not None and verdict.action is Action.REMOVE and not case.awaits_decision:
        return case.upload.digest, ("moot", Action.REMOVE.value)
    if notice.reporter.kind == "trusted":
        return case.upload.digest, None
    c = report_cases.c
    earlier = connection.execute(
        select(c.action)
        .where(
            c.upload_id == notice.upload_id,
            c.content == case.upload.digest,
            c.category == notice.category,
            c.outcome == "rejected",
            c.decided_by.is_not(None),
            c.closed_at > at - _ANSWER_HOLDS,
        )
        .limit(1)
    ).first()
    return case.upload.digest, None if earlier is None else ("rejected", earlier.action)


def _case(
    connection: Connection,
    notice: Notice,
    content: str | None,
    at: datetime,
    answered: tuple[str, str | None] | None,
) -> str:
    """The id of the case of a content: the open one, the one that answers, or a new one."""
    c = report_cases.c
    if notice.upload_id is not None:
        same = (c.upload_id == notice.upload_id) & or_(c.content.is_(None), c.content == content)
    else:
        same = (c.location == notice.location) & c.upload_id.is_(None)
    wanted = c.state == "open" if answered is None else c.outcome == answered[0]
    query = select(c.id).where(same, wanted).order_by(c.opened_at.desc()).limit(1)
    found = connection.execute(query).scalar_one_or_none()
    if found is not None:
        return str(found)
    count = connection.execute(
        select(func.count()).select_from(report_cases).where(same)
    ).scalar_one()
    key = notice.upload_id or notice.location
    made = digest("report-case", key, content or "", str(count))[:64]
    trusted = notice.reporter.kind == "trusted"
    state, outcome, action = ("open", None, None) if answered is None else ("closed", *answered)
    connection.execute(
        insert(report_cases).values(
            id=made,
            upload_id=notice.upload_id,
            content=content,
            location=notice.location or None,
            known=content is not None,
            state=state,
            category=notice.category,
            severity=severity(notice.category),
            trusted=trusted,
            reports=0,
            doubt=1.0,
            opened_at=at,
            due_at=at + due_after(notice.category, trusted=trusted),
            closed_at=at if answered else None,
            outcome=outcome,
            action=action,
        )
    )
    return made


def _joined(
    connection: Connection, case: Row[Any], notice: Notice, track: Track, at: datetime
) -> Row[Any]:
    """Count one more reporter on an open case: it may become more severe, more likely, sooner."""
    trusted = notice.reporter.kind == "trusted"
    worse = severity(notice.category) > case.severity
    due = min(case.due_at, at + due_after(notice.category, trusted=trusted))
    connection.execute(
        update(report_cases)
        .where(report_cases.c.id == case.id)
        .values(
            reports=case.reports + 1,
            doubt=case.doubt * (1 - track.weight),
            trusted=case.trusted or trusted,
            category=notice.category if worse else case.category,
            severity=max(case.severity, severity(notice.category)),
            due_at=due,
        )
    )
    return connection.execute(select(report_cases).where(report_cases.c.id == case.id)).one()


def _told(report: Row[Any], case: Row[Any], token: str | None, *, new: bool) -> Taken:
    due = case.due_at if report.state == "open" else None
    lacks = tuple(report.lacks.split(",")) if report.lacks else ()
    reporters_of = max(1, case.reports)
    return Taken(report.id, token, new, report.state, case.known, reporters_of, due, lacks)
