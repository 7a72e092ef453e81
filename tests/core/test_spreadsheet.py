"""Cells that a spreadsheet shows, and never runs."""

from __future__ import annotations

import csv

import pytest

from quorum.core.spreadsheet import cell, csv_line


def test_values_are_cells() -> None:
    assert [cell(one) for one in (None, 1, -1.5, "a", "a=b; c", "A-B")] == [
        "", "1", "-1.5", "a", "a=b; c", "A-B",
    ]  # fmt: skip


@pytest.mark.parametrize("unseen", ["", " ", "\t", "\r\n", "\ufeff", "\u200b", "\x00", "\u202e"])
@pytest.mark.parametrize("sign", ["=", "+", "-", "@", "|", "%", "\uff1d", "\uff20"])
def test_what_would_run_as_a_formula_is_text(unseen: str, sign: str) -> None:
    assert cell(f"{unseen}{sign}1+1").startswith("'")


@pytest.mark.parametrize("text", ["x;=1+1", 'x"; =1+1', "x\n=1+1", "x\t@SUM(A1)", ";;-1"])
def test_no_other_separator_makes_a_formula(text: str) -> None:
    """Where one and a half is 1,5, a file is read with semicolons, and a tab by its name."""
    line = csv_line(["id", text])
    for separator in ";\t,":
        for row in csv.reader(line.splitlines(), delimiter=separator):
            assert all(one.strip()[:1] not in ("=", "@", "-") for one in row), row
