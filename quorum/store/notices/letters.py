"""What each side of a notice is told, in words that a platform may send on.

The texts name no law's consequences for a single case: they say what happened, what comes next, and
by when.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Literal
from zoneinfo import ZoneInfo

from quorum.store.notices.validity import ELEMENTS

__all__ = ["Letter", "asks", "letters"]

Side = Literal["complainant", "uploader"]

_WHAT: Final = {
    "intimate": "request to remove an intimate image",
    "copyright": "copyright notice",
    "counter": "counter-notice",
}

#: By side, kind and event: the text, with fields in braces.
_TEXTS: Final[Mapping[tuple[Side, str, str], str]] = {
    ("complainant", "*", "received"): (
        "We have your {what} on {content}. A person answers it by {due}."
    ),
    ("complainant", "*", "invalid"): (
        "Your {what} on {content} cannot be acted on yet. The law asks for more; send it again, "
        "and: {asks}."
    ),
    ("complainant", "*", "admitted"): (
        "A person accepted your {what} on {content} as it is, and answers it by {due}."
    ),
    ("complainant", "intimate", "removed"): (
        "What you named, {content}, was removed. We look for identical copies, among what is "
        "kept and what comes."
    ),
    ("complainant", "copyright", "removed"): (
        "What you named, {content}, was removed. Its uploader was told, and may answer with a "
        "counter-notice."
    ),
    ("complainant", "*", "rejected"): (
        "A person looked at your {what} on {content}, and did not act on it."
    ),
    ("complainant", "copyright", "countered"): (
        "The uploader of {content} sent a counter-notice, which is below. It will be put back "
        "between {earliest} and {due}, unless you tell us before that you have filed an action "
        "seeking a court order against them."
    ),
    ("complainant", "copyright", "suit"): "Because you sue, {content} stays down.",
    ("complainant", "copyright", "restored"): (
        "After the counter-notice, and without word of an action, {content} was put back."
    ),
    ("uploader", "copyright", "removed"): (
        "{content} was removed because of a copyright notice. If that was by mistake or "
        "misidentification, you may send a counter-notice (17 U.S.C. 512(g)(3)): {counter_asks}."
    ),
    ("uploader", "counter", "received"): "We have your counter-notice on {content}.",
    ("uploader", "counter", "invalid"): (
        "Your counter-notice on {content} cannot be acted on yet. The law asks for more; send it "
        "again, and: {asks}."
    ),
    ("uploader", "counter", "accepted"): (
        "Your counter-notice on {content} was passed on. It will be put back between {earliest} "
        "and {due}, unless the complainant sues before."
    ),
    ("uploader", "counter", "rejected"): (
        "A person looked at your counter-notice on {content}, and did not act on it."
    ),
    ("uploader", "counter", "suit"): (
        "The complainant told us that they sue because of {content}: it stays down."
    ),
    ("uploader", "counter", "restored"): "{content} was put back.",
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


def asks(kind: str, lacks: tuple[str, ...]) -> str:
    """What to add to a notice, in one sentence."""
    found = {one.name: one.asks for one in ELEMENTS[kind]}  # type: ignore[index]
    return "; ".join(found[name] for name in lacks if name in found)


def letters(row: Any, events: Any, zone: ZoneInfo) -> list[Letter]:
    """The letters about a notice, one for each event that somebody is told.

    Args:
        row: The notice's row.
        events: Its log, oldest first, see ``NoticeEvent``.
        zone: In which times are told.
    """
    found = []
    fields = {
        "what": _WHAT[row.kind],
        "content": row.upload_id or row.location,
        "asks": asks(row.kind, tuple(row.lacks.split(",")) if row.lacks else ()),
        "counter_asks": asks("counter", tuple(one.name for one in ELEMENTS["counter"])),
    }
    for one in events:
        name = "invalid" if one.event == "received" and one.details.get("lacks") else one.event
        told = {
            key: _told(one.details.get(key), zone) or _told(getattr(row, f"{key}_at"), zone)
            for key in ("due", "earliest")
        }
        sides: tuple[Side, ...] = ("complainant", "uploader")
        for side in sides if row.kind != "counter" else ("uploader",):
            text = _TEXTS.get((side, row.kind, name))
            text = text or _TEXTS.get((side, "*", name))
            if text is not None:
                found.append(Letter(side, one.at, name, text.format(**fields, **told)))
    return found


def _told(value: datetime | str | None, zone: ZoneInfo) -> str:
    if value is None:
        return ""
    moment = datetime.fromisoformat(value) if isinstance(value, str) else value
    return moment.astimezone(zone).strftime("%Y-%m-%d %H:%M %Z")
