"""Parts of a time in a time zone: ``upload.published_at.getHours("Europe/Berlin")``.

CEL defines these functions with a zone, and its library here has them without one. So each call
with a zone is compiled as a call of a function of this module. Results are those of CEL: months,
days of the month (``getDayOfMonth``) and of the year count from 0, Sunday is day 0 of the week.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from functools import cache, partial
from types import MappingProxyType
from typing import Final
from zoneinfo import ZoneInfo, available_timezones

__all__ = ["PARTS", "ZONED", "ZONED_PREFIX", "zone", "zone_names"]

#: Each part of a time, by CEL's name.
PARTS: Final[Mapping[str, Callable[[datetime], int]]] = MappingProxyType(
    {
        "getFullYear": lambda at: at.year,
        "getMonth": lambda at: at.month - 1,
        "getDate": lambda at: at.day,
        "getDayOfMonth": lambda at: at.day - 1,
        "getDayOfWeek": lambda at: at.isoweekday() % 7,
        "getDayOfYear": lambda at: at.timetuple().tm_yday - 1,
        "getHours": lambda at: at.hour,
        "getMinutes": lambda at: at.minute,
        "getSeconds": lambda at: at.second,
        "getMilliseconds": lambda at: at.microsecond // 1000,
    }
)

#: Begins the name of each function in compiled conditions.
ZONED_PREFIX: Final = "q_zoned_"
_OFFSET: Final = re.compile(r"([+-]?)(\d\d):([0-5]\d)")


@cache
def zone_names() -> frozenset[str]:
    """The names of time zones, such as ``Europe/Berlin``."""
    return frozenset(available_timezones())


@cache
def zone(name: str) -> tzinfo:
    """A time zone by its name, or by its distance from UTC, as ``+02:00``.

    Raises:
        ValueError: If there is none.
    """
    offset = _OFFSET.fullmatch(name)
    if offset is not None:
        distance = timedelta(hours=int(offset[2]), minutes=int(offset[3]))
        return timezone(-distance if offset[1] == "-" else distance)
    if name not in zone_names():
        msg = f"`{name}` is no time zone"
        raise ValueError(msg)
    return ZoneInfo(name)


def _part(part: str, at: datetime, name: str) -> int:
    if at.tzinfo is None:
        at = at.replace(tzinfo=UTC)
    return PARTS[part](at.astimezone(zone(name)))


#: The functions that compiled conditions call, by name.
ZONED: Final[Mapping[str, Callable[[datetime, str], int]]] = MappingProxyType(
    {f"{ZONED_PREFIX}{part}": partial(_part, part) for part in PARTS}
)
