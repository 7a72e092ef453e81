"""Counts that all readers share."""

from __future__ import annotations

from quorum.apps.console.desk.kept import MANY, Kept


def test_few_are_counted_for_each_reader_and_many_are_kept_for_five_seconds() -> None:
    rows, seconds = [MANY - 1], [100.0]
    kept = Kept(lambda: rows[0], lambda found: found, lambda: seconds[0])
    assert kept.current() == MANY - 1
    rows[0] = MANY
    assert kept.current() == MANY, "few rows were not kept"
    rows[0] = 3
    seconds[0] += 4.9
    assert kept.current() == MANY
    seconds[0] += 0.2
    assert kept.current() == 3
    rows[0] = 4
    assert kept.current() == 4
