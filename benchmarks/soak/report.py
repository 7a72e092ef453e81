"""What a soak says: a table for the terminal, and a page with throughput, memory and breakers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from benchmarks.document import machine
from benchmarks.soak.checker import INVARIANTS, Broken, Checked, latencies
from benchmarks.soak.facts import Facts
from benchmarks.soak.fit import slopes
from benchmarks.soak.history import Sample
from benchmarks.soak.scenarios import SCENARIOS
from quorum.core.report.page import render
from quorum.core.report.plots import Bars, Line, bars, line

__all__ = ["summary", "write_page"]

_TEMPLATE = Path(__file__).with_name("report.html")
_COLUMNS = 120
#: Title, unit and field of what Flink alone has.
_OF_FLINK = (
    ("Memory of the TaskManager", "MiB", "taskmanager"),
    ("Memory of the JobManager", "MiB", "jobmanager"),
    ("Checkpoint", "bytes of the last one", "checkpoint"),
    ("State", "bytes of the cases in the last checkpoint", "state"),
)
_OF_EACH, _OF_EACH_ON_PAGE = 3, 50


@dataclass(frozen=True, slots=True)
class _Row:
    name: str
    operations: int
    broken: int
    median: str
    worst: str
    by_clock: str

    @property
    def held(self) -> str:
        return f"{self.broken} broken" if self.broken else "held"

    def cells(self) -> tuple[str, ...]:
        return (
            self.name,
            f"{self.operations:,}",
            self.held,
            self.median,
            self.worst,
            self.by_clock,
        )


def _rows(facts: Facts, checked: Checked) -> list[_Row]:
    told = latencies(facts)
    rows = []
    for name in SCENARIOS:
        if not facts.operations.get(name):
            continue
        mine = told.get(name)
        rows.append(
            _Row(
                name,
                facts.operations[name],
                sum(one.scenario == name for one in checked.broken),
                f"{mine.median:.2f}" if mine else "",
                f"{mine.worst:.1f}" if mine else "",
                f"{mine.worst_clock:.1f}" if mine else "",
            )
        )
    return rows


def summary(facts: Facts, checked: Checked) -> str:
    """The tables for a terminal."""
    head = ("scenario", "count", "result", "median s", "worst s", "worst by clock s")
    lines = [
        _columns([head, *(row.cells() for row in _rows(facts, checked))]),
        "",
        _columns(
            [("invariant", "looked at", "broken")]
            + [
                (name, f"{checked.counts[name]:,}", str(_broken_of(checked, name)))
                for name in INVARIANTS
            ]
        ),
        "",
        f"{facts.hindered:,} of {len(facts.contents):,} uploads waited during a fault",
        *(f"memory of {name}: {slope}" for name, slope in slopes(facts.samples).items()),
    ]
    shown = _some_of_each(checked, _OF_EACH)
    for one in shown:
        since = one.at - facts.started.at
        lines.append(f"BROKEN {one.invariant} after {since:.0f} s, {one.scenario}: {one.text}")
    if len(checked.broken) > len(shown):
        lines.append(f"and {len(checked.broken) - len(shown):,} more")
    return "\n".join(lines)


def _some_of_each(checked: Checked, most: int) -> list[Broken]:
    """The first of each invariant and scenario: a thousand of one must not hide another."""
    counts: dict[tuple[str, str], int] = {}
    kept = []
    for one in checked.broken:
        key = one.invariant, one.scenario
        counts[key] = counts.get(key, 0) + 1
        if counts[key] <= most:
            kept.append(one)
    return kept


def _columns(rows: Sequence[Sequence[str]]) -> str:
    widths = [max(len(row[index]) for row in rows) for index in range(len(rows[0]))]
    return "\n".join(
        "  ".join(
            cell.ljust(width) if index == 0 else cell.rjust(width)
            for index, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        for row in rows
    )


def _broken_of(checked: Checked, invariant: str) -> int:
    return sum(one.invariant == invariant for one in checked.broken)


@dataclass(frozen=True, slots=True)
class _Plot:
    title: str
    unit: str
    line: Line


def write_page(path: Path, facts: Facts, checked: Checked) -> None:
    """Write the page."""
    times, starts = _grid(facts)
    size = starts[1] - starts[0]
    began = facts.started.at
    faults = [
        (one.kind, f"{one.at - began:.0f}", f"{one.until - one.at:.1f}") for one in facts.outages
    ]
    invariants = [
        (name, f"{checked.counts[name]:,}", _broken_of(checked, name), _first_line(judge.__doc__))
        for name, judge in INVARIANTS.items()
    ]
    broken = [
        (f"{one.at - began:.0f}", one.invariant, one.scenario, one.text)
        for one in _some_of_each(checked, _OF_EACH_ON_PAGE)
    ]
    path.write_text(
        render(
            _TEMPLATE,
            title=f"Soak: {len(checked.broken):,} broken",
            command=facts.started.command,
            machine=machine(),
            began=f"{datetime.fromtimestamp(began, UTC):%Y-%m-%d %H:%M:%S} UTC",
            tiles_=(
                (f"{len(facts.contents):,}", "uploads", ""),
                (f"{sum(map(len, facts.verdicts.values())):,}", "verdicts", ""),
                (f"{sum(map(len, facts.dead.values())):,}", "dead letters", ""),
                (f"{len(facts.outages):,}", "faults", ""),
                (f"{len(checked.broken):,}", "broken", "remove" if checked.broken else "allow"),
            ),
            scenarios=[row.cells() for row in _rows(facts, checked)],
            invariants=invariants,
            plots=_plots(facts, times, starts),
            throughput=_throughput(facts, times, starts),
            size=f"{size:.0f}",
            slopes=[(name, str(slope)) for name, slope in slopes(facts.samples).items()],
            faults=faults,
            broken=broken,
        ),
        encoding="utf-8",
    )


def _first_line(text: str | None) -> str:
    return (text or "").strip().splitlines()[0]


def _grid(facts: Facts) -> tuple[list[datetime], list[float]]:
    """Columns of equal length over the soak: their times, and where each begins."""
    end = max([facts.started.at + 1.0, *(one.at for one in facts.samples)])
    size = max(2.0, (end - facts.started.at) / _COLUMNS)
    count = max(2, int((end - facts.started.at) / size) + 1)
    starts = [facts.started.at + index * size for index in range(count)]
    return [datetime.fromtimestamp(at, UTC) for at in starts], starts


def _column(at: float, starts: Sequence[float]) -> int:
    size = starts[1] - starts[0]
    return min(len(starts) - 1, max(0, int((at - starts[0]) / size)))


def _throughput(facts: Facts, times: Sequence[datetime], starts: Sequence[float]) -> Bars:
    counts = {name: [0] * len(starts) for name in ("allow", "restrict", "review", "remove")}
    for seen in facts.verdicts.values():
        for one in seen:
            counts[str(one.verdict.action)][_column(one.at, starts)] += 1
    return bars(times, counts)


def _plots(facts: Facts, times: Sequence[datetime], starts: Sequence[float]) -> list[_Plot]:
    late: list[list[float]] = [[] for _ in starts]
    for content in facts.contents:
        seen = facts.outcome(content)
        if seen is not None:
            late[_column(content.published, starts)].append(seen - content.published)
    worst = [max(values, default=None) for values in late]
    plots = [_Plot("Worst latency", "s, by the time of publication", line(times, worst))]

    def sampled(title: str, unit: str, values: Sequence[tuple[float, float]]) -> None:
        columns: list[list[float]] = [[] for _ in starts]
        for at, value in values:
            columns[_column(at, starts)].append(value)
        plots.append(_Plot(title, unit, line(times, [max(one, default=None) for one in columns])))

    samples: Sequence[Sample] = facts.samples
    sampled("Memory of the worker", "MiB", [(one.at, one.worker) for one in samples])
    sampled("Memory of its children", "MiB", [(one.at, one.children) for one in samples])
    sampled("Lag", "messages without an outcome", [(one.at, one.lag) for one in samples])
    if facts.started.engine == "flink":
        for title, unit, name in _OF_FLINK:
            values = [(one.at, getattr(one, name)) for one in samples if getattr(one, name)]
            sampled(title, unit, values)
    else:
        sampled("Memory of Prism", "MiB", [(one.at, one.prism) for one in samples])
        held = [(one.at, one.held) for one in samples]
        sampled("Messages held", "pulled, not acknowledged", held)
    for name in sorted({name for one in samples for name in one.breakers}):
        values = [(one.at, one.breakers.get(name, 0.0)) for one in samples]
        sampled(f"Breaker of {name}", "0 closed, 1 half-open, 2 open", values)
    return plots
