"""Detectors of these measurements, a plug-in: three that cost nothing, and one that waits.

``install`` writes what makes Python find them as an installed package, so that what is measured is
the command line as it ships.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

from quorum.models.detectors import Detector, Example, Feature, Features, Finding

__all__ = ["WAIT_SECONDS", "install", "policy", "settings"]

#: What a batch of the waiting detector takes, as one that asks a service elsewhere does.
WAIT_SECONDS = 0.02

TRIVIAL = ("one", "two", "three")
WAITING = ("waits",)


class _Plain(Detector):
    version = "1"
    needs = frozenset({Feature.TEXT})

    def score(self, batch: Sequence[Features]) -> Sequence[Finding]:
        """0.1 for each."""
        return [Finding.scored(0.1) for _ in batch]

    @classmethod
    def examples(cls) -> Sequence[Example]:
        """None: it is for measurements only."""
        return []


class One(_Plain):
    """Costs nothing."""

    name = "one"


class Two(_Plain):
    """Costs nothing."""

    name = "two"


class Three(_Plain):
    """Costs nothing."""

    name = "three"


class Waits(_Plain):
    """Waits for each batch, and needs no processor."""

    name = "waits"

    def score(self, batch: Sequence[Features]) -> Sequence[Finding]:
        """0.1 for each, after the wait."""
        time.sleep(WAIT_SECONDS)
        return super().score(batch)


def install(folder: Path) -> None:
    """Make the detectors an installed package, for a process with ``folder`` on its path."""
    made = folder / "quorum_flink_bench-1.dist-info"
    made.mkdir(parents=True, exist_ok=True)
    (made / "METADATA").write_text("Metadata-Version: 2.1\nName: quorum-flink-bench\nVersion: 1\n")
    lines = [f"{name} = benchmarks.flink.detectors:{name.title()}" for name in (*TRIVIAL, *WAITING)]
    (made / "entry_points.txt").write_text("\n".join(["[quorum.detectors]", *lines, ""]))


def settings(names: Sequence[str], *, batch: int = 32, processes: int | None = None) -> str:
    """The settings of a job with these detectors, as YAML.

    Args:
        names: Of the detectors.
        batch: The most uploads of a batch.
        processes: How many processes score; None for one for each processor.
    """
    lines = ["detectors:", *(f"  {name}: {{max_batch: {batch}, timeout: 20}}" for name in names)]
    if processes is not None:
        lines.append(f"workers: {{processes: {processes}}}")
    return "\n".join([*lines, ""])


def policy(names: Sequence[str], *, deadline: float = 60.0, retention: float = 3600.0) -> str:
    """A policy that reads each of these detectors, as YAML.

    Args:
        names: Of the detectors.
        deadline: Seconds until an upload is decided without them.
        retention: Seconds that a case is kept after its verdict.
    """
    lines = [f"name: {names[0]}", f"deadline: {deadline:g} s", f"retention: {retention:g} s"]
    lines.append("detectors:")
    for name in names:
        lines.append(
            f"  {name}: {{required: true, missing: review, failed: review, abstained: ignore}}"
        )
    when = " || ".join(f'score("{name}") >= 0.9' for name in names)
    lines += ["rules:", "  - name: high", f"    when: {when}", "    action: remove"]
    lines += ["    category: spam", "    reason: A detector is certain.", ""]
    return "\n".join(lines)
