"""A case that nobody closes in time is told, wherever it got stuck."""

from __future__ import annotations

import time

import pytest

from quorum.pipeline.cases import table as module
from quorum.pipeline.cases.table import CaseTable, overdue_cases


def test_cases_in_time_are_not_overdue() -> None:
    table = CaseTable()
    assert table.overdue() == 0.0
    table.put("a", b"", time.time() + 30)
    assert table.overdue() == 0.0


def test_a_case_that_nobody_takes_is_overdue() -> None:
    table = CaseTable()
    table.put("late", b"", time.time() - 20)
    table.put("later", b"", time.time() - 10)
    assert 20 <= table.overdue() < 25


def test_a_case_that_was_taken_is_overdue_until_it_is_stored_or_removed() -> None:
    table = CaseTable()
    table.put("a", b"", time.time() - 20)
    table.put("b", b"", time.time() - 15)
    assert table.take_due(10, 0.0) == ["a", "b"]
    assert table.overdue() >= 20
    table.put("a", b"", time.time() + 30)
    assert 15 <= table.overdue() < 20
    table.remove("b")
    assert table.overdue() == 0.0


def test_a_time_that_was_changed_counts_no_more() -> None:
    table = CaseTable()
    table.put("a", b"", time.time() - 20)
    table.put("a", b"", time.time() + 30)
    assert table.overdue() == 0.0


def test_overdue_cases_are_a_problem(monkeypatch: pytest.MonkeyPatch) -> None:
    table = CaseTable()
    monkeypatch.setattr(module, "_TABLES", {"job": table})
    table.put("a", b"", time.time() - 5)
    assert overdue_cases() is None
    table.put("a", b"", time.time() - 20)
    assert overdue_cases() == "a case should have been decided or closed 20 s ago"
