"""What each side of a notice is told, in words that a platform may send on.

The texts name no law's consequences for a single case: they say what happened, what comes next, and
by when. What was said stays as it was said when a team changes its words: the first who tells a
letter keeps it with the event.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from types import SimpleNamespace
from typing import Any, Final
from zoneinfo import ZoneInfo

from sqlalchemy import Connection, select, update

from quorum.core.text_templates import filled_in
from quorum.store.ledger.notices_schema import notice_events
from quorum.store.ledger.schema import cases
from quorum.store.notices.letter_templates import LetterTemplate, Side
from quorum.store.notices.reading import NoticeEvent
from quorum.store.notices.validity import ELEMENTS
from quorum.store.notices.values import NoticeRules

__all__ = ["Example", "Letter", "asks", "examples", "keep_letters", "letters"]

_WHAT: Final = {
    "intimate": "request to remove an intimate image",
    "copyright": "copyright notice",
    "counter": "counter-notice",
}


@dataclass(frozen=True, slots=True)
class Letter:
    """What one side is told after an event.

    Attributes:
        to: ``complainant`` or ``uploader``.
        at: When the event was.
        event: What happened.
        text: The words.
    """

    to: Side
    at: datetime
    event: str
    text: str


@dataclass(frozen=True, slots=True)
class Example:
    """A letter as it would be sent about an example.

    Attributes:
        kind: The kind of notice.
        letter: The letter.
        language: The language that it is for; None for all.
        own: Whether its template is a team's own.
    """

    kind: str
    letter: Letter
    language: str | None
    own: bool


def asks(kind: str, lacks: tuple[str, ...]) -> str:
    """What to add to a notice, in one sentence."""
    found = {one.name: one.asks for one in ELEMENTS[kind]}  # type: ignore[index]
    return "; ".join(found[name] for name in lacks if name in found)


def letters(
    connection: Connection, row: Any, events: Sequence[NoticeEvent], rules: NoticeRules
) -> list[Letter]:
    """The letters about a notice, one for each event that somebody is told.

    Args:
        connection: A transaction; the language of the upload may be read.
        row: The notice's row.
        events: Events of its log, oldest first.
        rules: The terms, with the words of letters.
    """
    spoken: str | None = None
    if rules.letters.languages and any(one.letters is None for one in events):
        query = select(cases.c.language).where(cases.c.upload_id == row.upload_id)
        spoken = connection.execute(query).scalar_one_or_none()
    found: list[Letter] = []
    for one in events:
        if one.letters is not None:
            found += [Letter(to, one.at, name, text) for to, name, text in one.letters]
        else:
            found += _made(row, one, rules, spoken)
    return found


def keep_letters(
    connection: Connection, row: Any, event: NoticeEvent, rules: NoticeRules
) -> list[Letter]:
    """The letters of one event, which from now on stay as they are.

    Args:
        connection: A transaction that writes.
        row: The notice's row.
        event: The event.
        rules: The terms, with the words of letters.
    """
    made = letters(connection, row, [event], rules)
    if event.letters is None:
        e = notice_events.c
        told = json.dumps([[one.to, one.event, one.text] for one in made])
        connection.execute(
            update(notice_events)
            .where(e.notice_id == row.id, e.number == event.number, e.letters.is_(None))
            .values(letters=told)
        )
    return made


def _made(row: Any, event: NoticeEvent, rules: NoticeRules, spoken: str | None) -> Iterator[Letter]:
    name = "invalid" if event.event == "received" and event.details.get("lacks") else event.event
    sides: tuple[Side, ...] = ("complainant", "uploader")
    for side in sides if row.kind != "counter" else ("uploader",):
        # Who sent a notice is told in the language that they chose; the upload's is the uploader's.
        sent = side == "complainant" or row.kind == "counter"
        language = (row.language if sent else None) or (spoken if side == "uploader" else None)
        template = rules.letters.find(side, row.kind, name, language)
        if template is not None:
            values = _values(row, event, rules, template)
            yield Letter(side, event.at, name, filled_in(template.text, values))


def _values(
    row: Any, event: NoticeEvent, rules: NoticeRules, template: LetterTemplate
) -> dict[str, str]:
    zone = rules.days.zone
    words = (rules.letters.words or {}).get(template.language or "")
    what = None if words is None else words.what.get(row.kind)
    lacks = tuple(row.lacks.split(",")) if row.lacks else ()
    every = tuple(one.name for one in ELEMENTS["counter"])

    def asked(kind: str, names: tuple[str, ...]) -> str:
        found: Any = {} if words is None else words.asks.get(kind, {})  # type: ignore[call-overload]
        return "; ".join(found.get(name) or asks(kind, (name,)) for name in names)

    return {
        "what": what or _WHAT[row.kind],
        "content": row.upload_id or row.location,
        "notice": row.id[:12],
        "date": event.at.astimezone(zone).date().isoformat(),
        "asks": asked(row.kind, lacks),
        "counter_asks": asked("counter", every),
        **{
            key: _told(event.details.get(key), zone) or _told(getattr(row, f"{key}_at"), zone)
            for key in ("due", "earliest")
        },
    }


def _told(value: datetime | str | None, zone: ZoneInfo) -> str:
    if value is None:
        return ""
    moment = datetime.fromisoformat(value) if isinstance(value, str) else value
    return moment.astimezone(zone).strftime("%Y-%m-%d %H:%M %Z")


def examples(rules: NoticeRules, at: datetime) -> Iterator[Example]:
    """Each letter that may be sent, about an upload ``video-4711``.

    Args:
        rules: The terms, with the words of letters.
        at: When the event of the example is.
    """
    for side, kind, name, language, template in rules.letters.every():
        clock = rules.put_back(at) if name in ("countered", "accepted") else None
        due = rules.clock(kind, at).due if clock is None else clock.due  # type: ignore[arg-type]
        earliest = None if clock is None else clock.earliest
        lacks = ",".join(one.name for one in ELEMENTS[kind][:2])  # type: ignore[index]
        row = SimpleNamespace(
            id="0123456789abcdef", kind=kind, upload_id="video-4711", location=None, lacks=lacks,
            due_at=due + timedelta(0), earliest_at=earliest,
        )  # fmt: skip
        event = NoticeEvent(1, at, name, "example", {})
        text = filled_in(template.text, _values(row, event, rules, template))
        own = template in rules.letters.own
        yield Example(kind, Letter(side, at, name, text), language, own)
