"""What the demo shows: verdicts as they arrive, then a summary."""

from __future__ import annotations

import json
import statistics
from collections import Counter
from dataclasses import dataclass, field

from rich.console import Console, Group, RenderableType
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from quorum.core.messages import ACTIONS, DeadLetter, Verdict

__all__ = ["Board"]

_COLOURS = {"allow": "green", "restrict": "yellow", "review": "magenta", "remove": "red"}
_SHOWN = 18


@dataclass
class Board:
    """Verdicts and dead letters by upload; the greatest (revision, at) counts.

    Attributes:
        titles: By upload id, what it is called.
        expected: How many different uploads were published.
    """

    titles: dict[str, str]
    expected: int
    verdicts: dict[str, Verdict] = field(default_factory=dict)
    dead: dict[str, DeadLetter] = field(default_factory=dict)
    repeated: int = 0

    def verdict(self, verdict: Verdict) -> bool:
        """Add a verdict; whether it is the first of its upload."""
        known = self.verdicts.get(verdict.upload_id)
        if known is None or known.order < verdict.order:
            self.verdicts[verdict.upload_id] = verdict
        else:
            self.repeated += 1
        return known is None

    def dead_letter(self, letter: DeadLetter) -> None:
        """Add a dead letter."""
        self.dead[letter.event_id()] = letter

    @property
    def done(self) -> bool:
        """Whether every upload has a verdict or a dead letter."""
        return len(self.verdicts) + len(self.dead) >= self.expected

    def row(self, verdict: Verdict) -> tuple[Text, str, str, str]:
        """Format a verdict's action, title, latency and reasons for a table."""
        action = verdict.action.value
        title = self.titles.get(verdict.upload_id, verdict.upload_id)
        return (
            Text(action, style=_COLOURS[action]),
            escape(title[:32]),
            f"{verdict.latency * 1000:,.0f} ms",
            escape(" ".join(verdict.reasons)),
        )

    def live(self) -> RenderableType:
        """Render the newest verdicts and the progress."""
        table = self._table()
        for verdict in list(self.verdicts.values())[-_SHOWN:]:
            table.add_row(*self.row(verdict))
        summary = f"{len(self.verdicts)} verdicts, {len(self.dead)} dead letters of {self.expected}"
        return Group(table, Text(summary, style="dim"))

    def _table(self, *, wrap: bool = False) -> Table:
        table = Table(box=None, padding=(0, 1), expand=True)
        table.add_column("action", no_wrap=True)
        table.add_column("upload", no_wrap=True, max_width=32)
        table.add_column("latency", justify="right", no_wrap=True)
        table.add_column("because", ratio=1, no_wrap=not wrap, overflow="ellipsis")
        return table

    def everything(self) -> RenderableType:
        """Render all verdicts."""
        table = self._table(wrap=True)
        for verdict in self.verdicts.values():
            table.add_row(*self.row(verdict))
        return table

    def summary(self, console: Console) -> None:
        """Print the summary."""
        console.rule("Summary")
        counts = Counter(verdict.action.value for verdict in self.verdicts.values())
        parts = [f"[{_COLOURS[a]}]{counts.get(a, 0)} {a.value}[/]" for a in ACTIONS]
        console.print(f"Verdicts: {len(self.verdicts)}  ({', '.join(parts)})")
        missing = [v for v in self.verdicts.values() if v.decided_by == "deadline"]
        if missing:
            console.print(f"Decided at the deadline: {len(missing)}")
        if latencies := [verdict.latency for verdict in self.verdicts.values()]:
            console.print(
                f"Latency:  median {statistics.median(latencies) * 1000:,.0f} ms, "
                f"worst {max(latencies) * 1000:,.0f} ms"
            )
        if self.repeated:
            console.print(f"Repeated: {self.repeated} (a duplicate changes nothing)")
        console.print(f"Dead letters: {len(self.dead)}")
        for letter in self.dead.values():
            console.print(f"  {letter.stage}: {escape(letter.error)}", highlight=False)
            console.print(f"    {escape(_quoted(letter.data))}", style="dim", highlight=False)
        unended = self.expected - len(self.verdicts) - len(self.dead)
        if unended > 0:
            console.print(f"[red]Not ended: {unended}[/]")


def _quoted(data: bytes) -> str:
    return json.dumps(data[:100].decode("utf-8", "replace"), ensure_ascii=False)
