"""Legal notices at the web service: their bodies, their answers, and digital signatures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Annotated, Final, Literal

from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import Connection, select, update

from quorum.apps.web.endpoints import Endpoint, queue
from quorum.core.identity import IdentityRefused, Publisher
from quorum.core.identity.publishers import verified
from quorum.core.identity.signing import KEY, PUBLISHER, SIGNATURE
from quorum.core.messages import now
from quorum.core.settings import NoticeSettings
from quorum.store.ledger import Ledger
from quorum.store.ledger.notices_schema import notice_events, notices
from quorum.store.notices import changing
from quorum.store.notices.intake import NoticeIntake
from quorum.store.notices.letters import asks, keep_letters, letters
from quorum.store.notices.reading import events_of, notice_at
from quorum.store.notices.values import NoticeRules, Person, Submission, TakenNotice
from quorum.store.reports.intake import MAX_TEXT
from quorum.store.reports.values import Reporter, ReportLimits

__all__ = [
    "EVENT_TYPE",
    "NoticeAnswer",
    "NoticeBody",
    "NoticeDesk",
    "NoticeState",
    "NoticeWebhookBody",
    "SuitBody",
]

#: The CloudEvents type that a signed notice names.
EVENT_TYPE: Final = "quorum.notice.v1"
#: Events older than this are not sent to endpoints that were configured since.
_NEWS: Final = timedelta(days=7)
_BATCH: Final = 200

Identifier = Annotated[str, Field(min_length=1, max_length=256)]
Short = Annotated[str, Field(max_length=256)]
Kind = Literal["intimate", "copyright", "counter"]


class NoticeBody(BaseModel):
    """A legal notice: of an intimate image, of copyright, or a counter-notice."""

    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True)

    kind: Kind
    """`intimate` (TAKE IT DOWN), `copyright` (17 U.S.C. 512(c)) or `counter` (512(g))."""
    reporter: Identifier
    """Your own id of who sends it; for a counter-notice, of the content's uploader."""
    upload_id: Identifier | None = None
    """The upload; or give its address in `location`."""
    location: Annotated[str, Field(max_length=2048)] = ""
    """The address of the content, where the upload's id is not known."""
    work: Annotated[str, Field(max_length=MAX_TEXT)] = ""
    """The copyrighted work, or a list of works."""
    text: Annotated[str, Field(max_length=MAX_TEXT)] = ""
    """What else is needed to find and judge the content, or why the removal was a mistake."""
    name: Short = ""
    """The name of who signs."""
    email: Short = ""
    """Their e-mail address."""
    phone: Short = ""
    """Their telephone number."""
    address: Annotated[str, Field(max_length=1000)] = ""
    """Their postal address."""
    on_behalf: Short = ""
    """Whom they act for, where not for themselves."""
    signature: Short = ""
    """Their electronic signature: the name, typed again."""
    good_faith: bool = False
    """The statement of good faith of this kind of notice; see `docs/notices.md`."""
    accurate: bool = False
    """That it is accurate and, under penalty of perjury, authorised (copyright)."""
    jurisdiction: bool = False
    """Consent to a federal district court and to service of process (counter-notice)."""
    reference: Identifier | None = None
    """Your own id of this notice."""
    language: Annotated[str, Field(max_length=35)] | None = None
    """The language in which its sender is told, such as `de`, where your letters have it."""


class SuitBody(BaseModel):
    """The word of a complainant that they have filed an action."""

    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True)

    case: Annotated[str, Field(min_length=1, max_length=1000)]
    """The court and its file number."""


class NoticeAnswer(BaseModel):
    """What became of a notice that was sent."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    id: str
    """The notice."""
    address: str | None
    """Its own secret address, to ask for the outcome; null if it was known: use the first one."""
    state: str
    """`received`, or `invalid` if it lacks an element of the law; then it removes nothing."""
    known: bool
    """Whether this upload is known here; if not, the notice is kept and waits for a person."""
    due_at: datetime | None
    """When it must be answered."""
    lacks: tuple[str, ...]
    """The elements that the law asks for and it has not."""
    asks: str
    """What to add, in words; empty if nothing is missing."""

    @classmethod
    def of(cls, taken: TakenNotice, kind: str) -> NoticeAnswer:
        """The answer to a notice that was taken."""
        return cls(
            id=taken.id,
            address=None if taken.token is None else f"/v1/notices/{taken.token}",
            state=taken.state,
            known=taken.known,
            due_at=taken.due_at,
            lacks=taken.lacks,
            asks=asks(kind, taken.lacks),
        )


class NoticeLetter(BaseModel):
    """What the sender of a notice, or the uploader of the content, is told after an event."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    to: str
    """`complainant` or `uploader`."""
    at: datetime
    """When it happened."""
    event: str
    """What happened."""
    text: str
    """The words."""


class NoticeState(BaseModel):
    """What became of a notice, at its own secret address."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    id: str
    """The notice."""
    kind: Kind
    """See `NoticeBody`."""
    state: str
    """See `docs/notices.md`."""
    at: datetime
    """When it came."""
    earliest_at: datetime | None
    """Content is put back not before this."""
    due_at: datetime | None
    """When it must be answered, or the content put back at last."""
    lacks: tuple[str, ...]
    """See the answer to the notice."""
    letters: tuple[NoticeLetter, ...]
    """What each side is told, oldest first; send the uploader's to the uploader."""


class NoticeNews(BaseModel):
    """Something that happened to a notice, for the platform that sent it."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    id: str
    """The notice."""
    kind: Kind
    """See `NoticeBody`."""
    state: str
    """The state of the notice now."""
    event: str
    """What happened, such as `removed`, `accepted` or `restored`."""
    upload_id: str | None
    """The upload."""
    uploader: str | None
    """The upload's uploader."""
    reference: str | None
    """The platform's own id of the notice."""
    letters: tuple[NoticeLetter, ...]
    """What to tell whom; may be empty."""


class NoticeWebhookBody(BaseModel):
    """What a webhook with the event ``notice`` brings, in the form of Standard Webhooks."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    type: Literal["notice"] = "notice"
    """What ``data`` is."""
    timestamp: datetime
    """When it happened."""
    data: NoticeNews
    """What happened."""


@dataclass(frozen=True, slots=True)
class NoticeDesk:
    """Takes notices of clients.

    Args:
        ledger: The ledger.
        rules: The terms.
        intake: Takes them.
        publishers: Whose digital signatures are verified.
    """

    ledger: Ledger
    rules: NoticeRules
    intake: NoticeIntake
    publishers: Mapping[str, Publisher]

    @classmethod
    def of(
        cls, ledger: Ledger, settings: NoticeSettings, publishers: Mapping[str, Publisher]
    ) -> NoticeDesk:
        """The desk of a deployment."""
        rules = NoticeRules.of(settings)
        limits = ReportLimits(notice=settings.per_hour)
        return cls(ledger, rules, NoticeIntake(ledger, rules, limits), publishers)

    def take(
        self, body: NoticeBody, data: bytes, headers: Mapping[str, str], client: str
    ) -> TakenNotice:
        """Take a client's notice.

        A digital signature over the body that does not hold makes the notice invalid.

        Raises:
            InputError: If it cannot be taken; the text states the mend.
            ReporterRefused: If the sender is over their limit, or suspended.
        """
        person = Person(**{name: getattr(body, name) for name in Person.__slots__})
        return self.intake.take(
            Submission(
                kind=body.kind,
                reporter=Reporter("notice", body.reporter, client),
                person=person,
                upload_id=body.upload_id,
                location=body.location,
                work=body.work,
                text=body.text,
                good_faith=body.good_faith,
                accurate=body.accurate,
                jurisdiction=body.jurisdiction,
                forged=self._forged(data, headers),
                reference=body.reference,
                language=body.language,
            )
        )

    def _forged(self, data: bytes, headers: Mapping[str, str]) -> str:
        if not any(headers.get(name) for name in (PUBLISHER, KEY, SIGNATURE)):
            return ""
        try:
            verified(self.publishers, EVENT_TYPE, data, headers, now())
        except IdentityRefused as refused:
            return str(refused)
        return ""

    def state(self, token: str) -> NoticeState | None:
        """What became of the notice at a secret address; None if there is none."""

        def work(connection: Connection) -> NoticeState | None:
            row = notice_at(connection, token)
            if row is None:
                return None
            told = letters(connection, row, events_of(connection, row.id), self.rules)
            return NoticeState(
                id=row.id,
                kind=row.kind,
                state=row.state,
                at=row.at,
                earliest_at=row.earliest_at,
                due_at=row.due_at,
                lacks=tuple(row.lacks.split(",")) if row.lacks else (),
                letters=tuple(
                    NoticeLetter(to=one.to, at=one.at, event=one.event, text=one.text)
                    for one in told
                ),
            )

        return self.ledger.transact(work)

    def sued(self, token: str, case: str) -> None:
        """Take the word of a complainant that they sue; see ``changing.sued_by_token``."""
        self.ledger.transact(
            lambda c: changing.sued_by_token(c, token, case=case, at=now()), writes=True
        )

    def tell(self, endpoints: Sequence[Endpoint]) -> int:
        """Queue webhooks of what happened to clients' notices; returns of how many events."""
        told = [one for one in endpoints if "notice" in one.events]
        if not told:
            return 0
        return self.ledger.transact(lambda c: self._queue(c, told, now()), writes=True)

    def _queue(self, connection: Connection, endpoints: Sequence[Endpoint], at: datetime) -> int:
        e = notice_events.c
        query = (
            select(notices, e.number, e.at.label("happened"))
            .join(notice_events, e.notice_id == notices.c.id)
            .where(e.told_at.is_(None), e.at > at - _NEWS, notices.c.client.is_not(None))
            .order_by(e.at, e.notice_id, e.number)
            .limit(_BATCH)
        )
        rows = connection.execute(query).all()
        for row in rows:
            one = next(x for x in events_of(connection, row.id) if x.number == row.number)
            said = keep_letters(connection, row, one, self.rules)
            news = NoticeNews(
                id=row.id,
                kind=row.kind,
                state=row.state,
                event=one.event,
                upload_id=row.upload_id,
                uploader=row.uploader,
                reference=row.reference,
                letters=tuple(
                    NoticeLetter(to=x.to, at=x.at, event=x.event, text=x.text) for x in said
                ),
            )
            body = NoticeWebhookBody(timestamp=row.happened, data=news).model_dump_json()
            key = ("notice", row.id, str(row.number))
            queue(connection, endpoints, key, row.upload_id, body, at)
            connection.execute(
                update(notice_events)
                .where(e.notice_id == row.id, e.number == row.number)
                .values(told_at=at)
            )
        return len(rows)
