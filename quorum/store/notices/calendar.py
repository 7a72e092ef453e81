"""Business days in the United States: weekdays that are no federal holiday, in one time zone."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from functools import cache
from typing import Any, Final
from zoneinfo import ZoneInfo

__all__ = ["BusinessDays"]

_SATURDAY: Final = 5


@cache
def _federal() -> Any:
    """The federal holidays (5 U.S.C. 6103), also on the days on which they are observed."""
    # It loads the calendars of all countries, which takes half a second.
    import holidays

    return holidays.country_holidays("US")


@dataclass(frozen=True, slots=True)
class BusinessDays:
    """Counts business days.

    The day of an event is not counted (as in rule 6 of the Federal Rules of Civil Procedure).

    Attributes:
        zone: Where days begin and end.
        closed: More days on which nobody works, such as a state's holidays.
    """

    zone: ZoneInfo
    closed: frozenset[date] = frozenset()

    @classmethod
    def of(cls, zone: str, closed: Iterable[date] = ()) -> BusinessDays:
        """The business days of a zone of the IANA database, such as ``America/New_York``."""
        return cls(ZoneInfo(zone), frozenset(closed))

    def is_open(self, day: date) -> bool:
        """Whether a day is a business day."""
        return day.weekday() < _SATURDAY and day not in self.closed and day not in _federal()

    def nth_after(self, day: date, count: int) -> date:
        """The business day that is so many business days after a day, which is not counted.

        Raises:
            ValueError: If the count is not positive.
        """
        if count < 1:
            msg = "count at least one business day"
            raise ValueError(msg)
        while count:
            day += timedelta(days=1)
            count -= self.is_open(day)
        return day

    def end_of(self, moment: datetime, count: int) -> datetime:
        """When the given number of business days after a moment has passed.

        Args:
            moment: When something came, with its zone.
            count: The number of business days.

        Returns:
            Midnight at the end of the last of them, with the zone of this calendar.
        """
        last = self.nth_after(moment.astimezone(self.zone).date(), count)
        return datetime.combine(last + timedelta(days=1), time(), self.zone)

    def window(self, moment: datetime, least: int, most: int) -> tuple[datetime, datetime]:
        """From when to when something is done not earlier and not later than so many days.

        Args:
            moment: When the term begins.
            least: The business days that pass before.
            most: The business day on which it is done at last.
        """
        return self.end_of(moment, least), self.end_of(moment, most)
