"""The states of a sealed case, its clocks and its terms: immutable values."""

from __future__ import annotations

import calendar
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, Literal, get_args

from quorum.core.errors import InputError
from quorum.core.settings import ChildSafetySettings

__all__ = ["OPEN", "STATES", "SealedRules", "State", "a_year_after", "moved", "tone"]

State = Literal["open", "confirmed", "reported", "denied"]
STATES: Final[tuple[State, ...]] = get_args(State)

#: States in which somebody must act, and the clock of the report runs.
OPEN: Final[tuple[State, ...]] = ("open", "confirmed")

_MOVES: Final[Mapping[tuple[State, str], State]] = {
    ("open", "confirmed"): "confirmed",
    ("open", "denied"): "denied",
    ("confirmed", "denied"): "denied",
    ("confirmed", "reported"): "reported",
}


def moved(state: State, event: str) -> State:
    """The state after an event.

    Raises:
        InputError: If the event cannot happen in this state.
    """
    after = _MOVES.get((state, event))
    if after is None:
        msg = f"a sealed case that is {state} cannot become {event}"
        raise InputError(msg)
    return after


def a_year_after(at: datetime, years: int = 1) -> datetime:
    """The same moment years later; of the 29th of February the 1st of March, never earlier."""
    year = at.year + years
    if (at.month, at.day) == (2, 29) and not calendar.isleap(year):
        return at.replace(year=year, month=3, day=1)
    return at.replace(year=year)


def tone(start: datetime, due: datetime, at: datetime) -> Literal["well", "near", "late"]:
    """Whether the time is over, or less than a quarter of it is left."""
    if at >= due:
        return "late"
    return "near" if due - at <= (due - start) / 4 else "well"


@dataclass(frozen=True, slots=True)
class SealedRules:
    """The terms of a deployment.

    Attributes:
        report_hours: Hours to report a case; 18 U.S.C. 2258A(a)(1) says *as soon as reasonably
            possible*.
        years: Years for which a reported case is preserved; 18 U.S.C. 2258A(h)(1) has one.
        tell: The end of the preservation is in sight for so long before.
        flood: Uploads that one hash may match in ``window`` before people are asked.
        window: The time of ``flood``.
    """

    report_hours: float = 24.0
    years: int = 1
    tell: timedelta = timedelta(days=30)
    flood: int = 20
    window: timedelta = timedelta(hours=1)

    @classmethod
    def of(cls, settings: ChildSafetySettings) -> SealedRules:
        """The terms that a deployment's settings give."""
        return cls(
            report_hours=settings.report_hours,
            years=settings.preserve_years,
            flood=settings.flood_matches,
            window=timedelta(minutes=settings.flood_minutes),
        )
