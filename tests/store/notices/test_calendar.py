"""Business days: weekdays that are no federal holiday, counted from the day after."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quorum.store.notices.calendar import BusinessDays

NEW_YORK = BusinessDays.of("America/New_York")
DAYS = st.dates(date(2024, 1, 1), date(2035, 12, 31))


def moment(text: str) -> datetime:
    return datetime.fromisoformat(text)


@pytest.mark.parametrize(
    ("came", "earliest", "latest"),
    [
        # A Monday: the tenth business day is the Friday of the week after, the 14th a Thursday.
        ("2026-03-02T12:00-05:00", "2026-03-17T00:00-04:00", "2026-03-21T00:00-04:00"),
        # Thanksgiving and Christmas Day are no business days.
        ("2026-11-20T23:59-05:00", "2026-12-08T00:00-05:00", "2026-12-12T00:00-05:00"),
        ("2026-12-18T09:00-05:00", "2027-01-06T00:00-05:00", "2027-01-12T00:00-05:00"),
        # 4 July 2026 is a Saturday: it is observed on the Friday before.
        ("2026-07-01T09:00-04:00", "2026-07-17T00:00-04:00", "2026-07-23T00:00-04:00"),
        # In New York it is still Sunday.
        ("2026-03-02T02:00+00:00", "2026-03-14T00:00-04:00", "2026-03-20T00:00-04:00"),
    ],
)
def test_the_window_of_a_put_back(came: str, earliest: str, latest: str) -> None:
    found = NEW_YORK.window(moment(came), 10, 14)
    assert [one.astimezone(UTC) for one in found] == [
        moment(earliest).astimezone(UTC),
        moment(latest).astimezone(UTC),
    ]


def test_a_state_may_close_on_more_days() -> None:
    closed = BusinessDays.of("America/New_York", [date(2026, 11, 27)])
    assert NEW_YORK.nth_after(date(2026, 11, 25), 1) == date(2026, 11, 27)
    assert closed.nth_after(date(2026, 11, 25), 1) == date(2026, 11, 30)
    with pytest.raises(ValueError, match="at least one"):
        closed.nth_after(date(2026, 11, 25), 0)


@settings(max_examples=200, deadline=None)
@given(day=DAYS, count=st.integers(1, 40))
def test_exactly_so_many_business_days_pass(day: date, count: int) -> None:
    last = NEW_YORK.nth_after(day, count)
    between = [day + timedelta(days=n) for n in range(1, (last - day).days + 1)]
    assert sum(NEW_YORK.is_open(one) for one in between) == count
    assert NEW_YORK.is_open(last)


@settings(max_examples=200, deadline=None)
@given(day=DAYS, hour=st.integers(0, 23), least=st.integers(1, 14), more=st.integers(0, 10))
def test_a_window_begins_at_midnight_and_ends_not_before_it(
    day: date, hour: int, least: int, more: int
) -> None:
    came = datetime.combine(day, time(hour), ZoneInfo("America/New_York"))
    earliest, latest = NEW_YORK.window(came, least, least + more)
    assert came < earliest <= latest
    assert earliest.time() == latest.time() == time()
    # Who sends later is never due earlier.
    later = NEW_YORK.window(came + timedelta(days=1), least, least + more)
    assert later[0] >= earliest and later[1] >= latest
