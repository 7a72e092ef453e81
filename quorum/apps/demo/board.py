"""What the demo knows: the verdict that counts of each upload, dead letters, and their summary."""

from __future__ import annotations

import json
import statistics
from collections import Counter
from dataclasses import dataclass, field

from rich.console import Console
from rich.markup import escape

from quorum.core.messages import ACTIONS, DeadLetter, Verdict

__all__ = ["COLOURS", "Board"]

#: How each action is shown.
COLOURS = {"allow": "green", "restrict": "yellow", "review": "magenta", "remove": "red"}


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
        if known is None or (known.order < verdict.order and known.id != verdict.id):
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

    def summary(self, console: Console) -> None:
        """Print the summary."""
        console.rule("Summary")
        counts = Counter(verdict.action.value for verdict in self.verdicts.values())
        parts = [f"[{COLOURS[a]}]{counts.get(a, 0)} {a.value}[/]" for a in ACTIONS]
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
