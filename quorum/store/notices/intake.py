"""Takes legal notices: throttled, checked against the law, each with a secret address."""

from __future__ import annotations

import re
import secrets
from dataclasses import fields, replace
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Connection, insert, select

from quorum.core.errors import InputError
from quorum.core.messages import digest, now
from quorum.store.ledger import Ledger
from quorum.store.ledger.notices_schema import notice_people, notices
from quorum.store.ledger.schema import cases
from quorum.store.ledger.statements import lock_name
from quorum.store.notices.events import COMPLAINANT, note
from quorum.store.notices.validity import missing
from quorum.store.notices.values import NoticeRules, Person, Submission, TakenNotice
from quorum.store.reports.intake import MAX_TEXT, plain_text, token_digest
from quorum.store.reports.throttle import Refused, Throttle, reporter_id
from quorum.store.reports.values import ReportLimits

__all__ = ["NoticeIntake"]

_MOST: Final = {"text": MAX_TEXT, "work": MAX_TEXT, "location": 2048, "address": 1000}
_SHORT: Final = 256
_LANGUAGE: Final = re.compile(r"[A-Za-z]{2,3}(-[A-Za-z0-9]{1,8}){0,3}\Z")


class NoticeIntake:
    """Takes notices into a ledger; nothing that is sent is lost.

    A notice that lacks an element of the law is kept as invalid, and its sender is told what to
    add: it removes nothing.

    Args:
        ledger: The ledger.
        rules: The terms.
        limits: How many notices of one sender are taken.
    """

    def __init__(
        self,
        ledger: Ledger,
        rules: NoticeRules | None = None,
        limits: ReportLimits | None = None,
    ) -> None:
        self._ledger = ledger
        self._rules = rules or NoticeRules()
        self._throttle = Throttle(limits or ReportLimits())

    def take(self, submission: Submission) -> TakenNotice:
        """Take a notice.

        Raises:
            InputError: If it names nothing, is too long, or answers nothing that was removed.
            ReporterRefused: If the sender is over their limit, or suspended.
        """
        given = _checked(submission)
        name = reporter_id(given.reporter)
        at = now()
        self._throttle.check(name, at)
        made = self._ledger.transact(lambda c: self._take(c, given, name, at), writes=True)
        if isinstance(made, TakenNotice):
            return made
        self._throttle.remember(name, made)
        raise made.error(at)

    def _take(
        self, connection: Connection, given: Submission, name: str, at: datetime
    ) -> TakenNotice | Refused:
        who = self._throttle.admit(connection, given.reporter, name, at)
        if isinstance(who, Refused):
            return who
        lock_name(connection, f"notice {given.upload_id or given.location}")
        lacks = tuple(one.name for one in missing(given))
        if not lacks and (known := _again(connection, given, name)) is not None:
            return TakenNotice(known.id, None, False, known.state, known.known, known.due_at)
        uploader = _uploader(connection, given.upload_id)
        answers = _answered(connection, given, uploader) if given.kind == "counter" else None
        token = secrets.token_urlsafe(32)
        notice_id = digest("notice", given.kind, name, token)[:64]
        due = None if lacks else self._rules.clock(given.kind, at).due
        state = "invalid" if lacks else "received"
        connection.execute(
            insert(notices).values(
                id=notice_id,
                kind=given.kind,
                state=state,
                upload_id=given.upload_id,
                location=given.location or None,
                known=uploader is not None,
                uploader=uploader,
                answers=answers,
                at=at,
                due_at=due,
                work=given.work,
                text=given.text,
                lacks=",".join(lacks),
                client=given.reporter.client,
                reference=given.reference,
                language=given.language,
                reporter_id=name,
                token=token_digest(token),
            )
        )
        person = {one.name: getattr(given.person, one.name) for one in fields(Person)}
        connection.execute(insert(notice_people).values(notice_id=notice_id, **person))
        told: dict[str, Any] = {"kind": given.kind, "lacks": list(lacks)}
        if given.upload_id is not None:
            told["upload"] = given.upload_id
        if due is not None:
            told["due"] = due.isoformat()
        if given.forged:
            told["forged"] = given.forged
        note(connection, notice_id, "received", COMPLAINANT, at, **told)
        known_here = uploader is not None
        return TakenNotice(notice_id, token, True, state, known_here, due, lacks)  # type: ignore[arg-type]


def _again(connection: Connection, given: Submission, name: str) -> Any:
    """The same sender's notice of this kind on this content that still stands; None if none."""
    n = notices.c
    place = n.upload_id == given.upload_id if given.upload_id else n.location == given.location
    query = (
        select(n.id, n.state, n.known, n.due_at)
        .where(place, n.kind == given.kind, n.reporter_id == name)
        .where(n.state.not_in(("invalid", "rejected", "restored")))
        .order_by(n.at.desc())
        .limit(1)
    )
    return connection.execute(query).first()


def _uploader(connection: Connection, upload_id: str | None) -> str | None:
    """The uploader of an upload; empty if the ledger knows the upload and not of whom."""
    if upload_id is None:
        return None
    query = select(cases.c.upload_id, cases.c.uploader).where(cases.c.upload_id == upload_id)
    row = connection.execute(query).first()
    return None if row is None else row.uploader or ""


def _answered(connection: Connection, given: Submission, uploader: str | None) -> str:
    """The notice that a counter-notice answers: content must be down because of it."""
    n = notices.c
    query = (
        select(n.id)
        .where(n.upload_id == given.upload_id, n.kind == "copyright", n.state == "removed")
        .order_by(n.at)
        .limit(1)
    )
    found = connection.execute(query).scalar_one_or_none()
    if given.upload_id is None or found is None:
        msg = (
            "upload_id: nothing of this id is down because of a copyright notice; other decisions "
            "are appealed, see docs/console.md"
        )
        raise InputError(msg)
    if uploader and given.reporter.name != uploader:
        msg = "reporter: a counter-notice comes from the uploader of the content"
        raise InputError(msg)
    return str(found)


def _checked(given: Submission) -> Submission:
    location = given.location.strip()
    if not given.upload_id and not location:
        msg = "name the material: upload_id, or its address as location"
        raise InputError(msg)
    upload_id = given.upload_id or None
    if upload_id is not None and (len(upload_id) > _SHORT or plain_text(upload_id) != upload_id):
        msg = "upload_id has 1 to 256 characters"
        raise InputError(msg)
    language = given.language or None
    if language is not None and not _LANGUAGE.match(language):
        msg = "language is a code such as de or pt-BR"
        raise InputError(msg)
    person = {one.name: getattr(given.person, one.name) for one in fields(Person)}
    texts = {"text": given.text, "work": given.work, "location": location, **person}
    texts["reference"] = given.reference or ""
    for name, value in texts.items():
        if len(value) > (most := _MOST.get(name, _SHORT)):
            msg = f"{name} has more than {most:,} characters"
            raise InputError(msg)
    return replace(
        given,
        reporter=replace(given.reporter, name=plain_text(given.reporter.name)),
        person=Person(**{name: plain_text(value) for name, value in person.items()}),
        upload_id=upload_id,
        location=plain_text(location),
        work=plain_text(given.work),
        text=plain_text(given.text),
        language=language,
        reference=None if given.reference is None else plain_text(given.reference),
    )
