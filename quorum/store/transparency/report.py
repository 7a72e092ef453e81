"""Fills the CSV parts of the template with figures, and marks what needs a person.

A cell that the ledger cannot know holds ``NEEDS A PERSON``, so that no number is invented and a
report with gaps is not taken for a whole one; the list of these cells comes with the parts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from quorum.core.spreadsheet import csv_line
from quorum.store.transparency.template import (
    PARTS,
)

__all__ = ["NEEDS_A_PERSON", "Gap", "Service", "TransparencyReport"]

#: What a cell holds that the ledger cannot know.
NEEDS_A_PERSON: Final = "NEEDS A PERSON"


@dataclass(frozen=True, slots=True)
class Service:
    """Who reports, and on which service."""

    provider: str
    service: str


@dataclass(frozen=True, slots=True)
class Gap:
    """A cell that needs a person's input.

    Attributes:
        part: The file.
        row: What the row is about.
        column: The column.
        why: Why the ledger cannot know it.
    """

    part: str
    row: str
    column: str
    why: str


@dataclass(frozen=True, slots=True)
class TransparencyReport:
    """The parts of a report: rows by file, without their header, and the gaps."""

    parts: Mapping[str, Sequence[tuple[str, ...]]]
    gaps: tuple[Gap, ...]

    def text(self, part: str) -> str:
        """One part as CSV (RFC 4180)."""
        return _csv([PARTS[part], *self.parts[part]])

    def gaps_text(self) -> str:
        """The list of gaps as CSV."""
        rows = [(one.part, one.row, one.column, one.why) for one in self.gaps]
        return _csv([("part", "row", "column", "why"), *rows])

    def files(self) -> dict[str, str]:
        """All files by name."""
        made = {f"{part}.csv": self.text(part) for part in self.parts}
        return {**made, "needs-a-person.csv": self.gaps_text()}

    def write(self, folder: Path) -> None:
        """Write all files into a folder, which is made."""
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in self.files().items():
            (folder / name).write_text(text, encoding="utf-8", newline="")


def _csv(rows: Sequence[Sequence[str]]) -> str:
    return "".join(csv_line(row) for row in rows)
