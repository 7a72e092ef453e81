"""What a notice is, its states and how it moves between them, and its clock: immutable values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final, Literal, get_args

from quorum.core.errors import InputError
from quorum.core.settings import NoticeSettings
from quorum.store.notices.calendar import BusinessDays
from quorum.store.notices.letter_templates import Letters, load_letters
from quorum.store.reports.values import Reporter

__all__ = [
    "KINDS",
    "OPEN",
    "STATES",
    "Clock",
    "Kind",
    "NoticeRules",
    "Person",
    "State",
    "Submission",
    "TakenNotice",
    "moved",
]

Kind = Literal["intimate", "copyright", "counter"]
KINDS: Final[tuple[Kind, ...]] = get_args(Kind)

State = Literal[
    "received", "invalid", "removed", "rejected", "countered", "waiting", "suit", "restored"
]
STATES: Final[tuple[State, ...]] = get_args(State)

#: States in which somebody must act, and a clock runs.
OPEN: Final[tuple[State, ...]] = ("received", "waiting")

#: From which state of which kind what leads where.
_MOVES: Final[Mapping[tuple[Kind, State, str], State]] = {
    ("intimate", "received", "removed"): "removed",
    ("intimate", "received", "rejected"): "rejected",
    ("intimate", "invalid", "rejected"): "rejected",
    ("intimate", "invalid", "admitted"): "received",
    ("copyright", "received", "removed"): "removed",
    ("copyright", "received", "rejected"): "rejected",
    ("copyright", "invalid", "rejected"): "rejected",
    ("copyright", "invalid", "admitted"): "received",
    ("copyright", "removed", "countered"): "countered",
    ("copyright", "countered", "suit"): "suit",
    ("copyright", "countered", "restored"): "restored",
    ("counter", "received", "accepted"): "waiting",
    ("counter", "received", "rejected"): "rejected",
    ("counter", "invalid", "rejected"): "rejected",
    ("counter", "invalid", "admitted"): "received",
    ("counter", "waiting", "suit"): "suit",
    # Of what it would put back, something else was found.
    ("counter", "waiting", "rejected"): "rejected",
    ("counter", "waiting", "restored"): "restored",
}


def moved(kind: Kind, state: State, event: str) -> State:
    """The state after an event.

    Raises:
        InputError: If the event cannot happen in this state.
    """
    after = _MOVES.get((kind, state, event))
    if after is None:
        msg = f"a notice ({kind}) that is {state} cannot become {event}"
        raise InputError(msg)
    return after


@dataclass(frozen=True, slots=True)
class Person:
    """Who sends a notice; kept apart from it, and shown to those alone who have the right.

    Attributes:
        name: The name of who signs.
        email: The e-mail address.
        phone: The telephone number.
        address: The postal address.
        on_behalf: Whom they act for, where not for themselves.
        signature: The electronic signature as it was typed.
    """

    name: str = ""
    email: str = ""
    phone: str = ""
    address: str = ""
    on_behalf: str = ""
    signature: str = ""


@dataclass(frozen=True, slots=True)
class Submission:
    """A notice as it is sent.

    Attributes:
        kind: ``intimate`` (TAKE IT DOWN), ``copyright`` (17 U.S.C. 512(c)) or ``counter`` (512(g)).
        reporter: Who is throttled for it: a user of a platform, or a network.
        person: Who signs it.
        upload_id: The upload; None where only an address is named.
        location: The address of the content; empty where the upload is named.
        work: The copyrighted work; empty for other kinds.
        text: What else is needed to find and judge the content, or why the removal was a mistake.
        good_faith: The statement of good faith of this kind of notice.
        accurate: That the notice is accurate and, under penalty of perjury, authorised.
        jurisdiction: Consent to a federal district court, and to service of process.
        forged: Why a digital signature of the notice does not hold; empty if there is none or it
            does.
        reference: The client's own name of the notice.
        language: The language in which its sender is told, such as ``de``; None for any.
    """

    kind: Kind
    reporter: Reporter
    person: Person = field(default_factory=Person)
    upload_id: str | None = None
    location: str = ""
    work: str = ""
    text: str = ""
    good_faith: bool = False
    accurate: bool = False
    jurisdiction: bool = False
    forged: str = ""
    reference: str | None = None
    language: str | None = None


@dataclass(frozen=True, slots=True)
class Clock:
    """By when somebody must act, and from when they may.

    Attributes:
        start: When the notice came.
        due: When it must be done.
        earliest: Before this it may not be done; None if it may be done at once.
    """

    start: datetime
    due: datetime
    earliest: datetime | None = None

    def tone(self, at: datetime) -> Literal["well", "near", "late"]:
        """Whether the time is over, or less than a quarter of it is left."""
        if at >= self.due:
            return "late"
        return "near" if self.due - at <= (self.due - self.start) / 4 else "well"


@dataclass(frozen=True, slots=True)
class NoticeRules:
    """The terms of a deployment.

    Attributes:
        days: The business days of the put-back.
        intimate_hours: Hours to remove an intimate image; the law has 48.
        copyright_hours: Hours to answer a copyright notice; the law says *expeditiously*.
        counter_hours: Hours to check a counter-notice and pass it on; the law says *promptly*.
        repeat: Standing copyright notices after which an uploader is a repeat infringer.
        least: Business days before a put-back (17 U.S.C. 512(g)(2)(C)).
        most: The business day of the put-back at last.
        letters: The words in which each side is told.
    """

    days: BusinessDays = field(default_factory=lambda: BusinessDays.of("America/New_York"))
    intimate_hours: float = 48.0
    copyright_hours: float = 24.0
    counter_hours: float = 24.0
    repeat: int = 3
    least: int = 10
    most: int = 14
    letters: Letters = field(default_factory=Letters)

    @classmethod
    def of(cls, settings: NoticeSettings) -> NoticeRules:
        """The terms that a deployment's settings give.

        Raises:
            ConfigurationError: If the file of letters is wrong; the text names the line.
        """
        return cls(
            days=BusinessDays.of(settings.timezone, settings.holidays),
            intimate_hours=settings.intimate_hours,
            copyright_hours=settings.copyright_hours,
            counter_hours=settings.counter_hours,
            repeat=settings.repeat_infringer,
            letters=Letters() if settings.letters is None else load_letters(Path(settings.letters)),
        )

    def clock(self, kind: Kind, at: datetime) -> Clock:
        """The clock of a notice that came at a time."""
        hours = {
            "intimate": self.intimate_hours,
            "copyright": self.copyright_hours,
            "counter": self.counter_hours,
        }[kind]
        return Clock(at, at + timedelta(hours=hours))

    def put_back(self, at: datetime) -> Clock:
        """The clock of the put-back after a counter-notice that came at a time."""
        earliest, due = self.days.window(at, self.least, self.most)
        return Clock(at, due, earliest)


@dataclass(frozen=True, slots=True)
class TakenNotice:
    """The answer to a notice.

    Attributes:
        id: The notice's id.
        token: The secret of its address; None where the notice was known.
        new: Whether it was not known.
        state: received or invalid.
        known: Whether the ledger knows the upload.
        due_at: When it must be answered; None where it is invalid.
        lacks: The names of the elements that the law asks for and it has not.
    """

    id: str
    token: str | None
    new: bool
    state: State
    known: bool
    due_at: datetime | None
    lacks: tuple[str, ...] = ()
