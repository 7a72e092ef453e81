"""Plots as shapes that the macros of ``kit.html`` draw: no library, no script."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, time

__all__ = ["Bars", "Bin", "Line", "bars", "histogram", "line"]

WIDTH, HEIGHT = 640, 200
_LEFT, _TOP, _BOTTOM = 40, 8, 24


@dataclass(frozen=True, slots=True)
class Bar:
    """One segment of a stacked bar."""

    x: float
    y: float
    width: float
    height: float
    name: str
    count: int


@dataclass(frozen=True, slots=True)
class Bars:
    """Stacked bars.

    Attributes:
        bars: The segments.
        grid: Height and text of each horizontal line.
        ticks: Position and text of each time.
        width: Of a column, with the gap to the next.
    """

    bars: tuple[Bar, ...]
    grid: tuple[tuple[float, str], ...]
    ticks: tuple[tuple[float, str], ...]
    width: float

    def left(self, index: int) -> float:
        """The left edge of a column."""
        return round(_LEFT + index * self.width, 2)


@dataclass(frozen=True, slots=True)
class Line:
    """A line of points, with gaps where a value is None.

    Attributes:
        paths: The points of each unbroken part.
        grid: Height and text of each horizontal line.
        ticks: Position and text of each time.
        dots: Points with a gap on both sides, which no line shows.
    """

    paths: tuple[str, ...]
    grid: tuple[tuple[float, str], ...]
    ticks: tuple[tuple[float, str], ...]
    dots: tuple[tuple[float, float], ...] = ()


@dataclass(frozen=True, slots=True)
class Bin:
    """One bar of a histogram: its height from 0 to 1, and the text that a pointer over it shows."""

    height: float
    title: str


def bars(times: Sequence[datetime], series: Mapping[str, Sequence[int]]) -> Bars:
    """Stacked bars over time, in the order of the series."""
    totals = [sum(values) for values in zip(*series.values(), strict=True)]
    top = _nice(max([*totals, 1]))
    width = (WIDTH - _LEFT) / max(1, len(times))
    gap = min(2.0, width / 4)
    made = []
    for index in range(len(times)):
        low = 0
        for name, values in series.items():
            count = values[index]
            if count:
                made.append(
                    Bar(
                        round(_LEFT + index * width + gap / 2, 2),
                        round(_y(low + count, top), 1),
                        round(width - gap, 2),
                        round(_y(low, top) - _y(low + count, top), 1),
                        name,
                        count,
                    )
                )
            low += count
    return Bars(tuple(made), _grid(top), _ticks(times), width)


def line(times: Sequence[datetime], values: Sequence[float | None]) -> Line:
    """A line over time."""
    top = _nice(max([*(value for value in values if value is not None), 1e-3]))
    width = (WIDTH - _LEFT) / max(1, len(times))
    paths: list[list[str]] = [[]]
    for index, value in enumerate(values):
        if value is None:
            paths.append([])
        else:
            x = _LEFT + (index + 0.5) * width
            paths[-1].append(f"{x:.1f},{_y(value, top):.1f}")
    drawn = [points for points in paths if points]
    alone = [points[0].split(",") for points in drawn if len(points) == 1]
    return Line(
        tuple(" ".join(points) for points in drawn),
        _grid(top),
        _ticks(times),
        tuple((float(x), float(y)) for x, y in alone),
    )


def histogram(counts: Sequence[int], names: Sequence[str]) -> tuple[Bin, ...]:
    """A histogram on a logarithmic scale, which shows the few beside the many."""
    highest = math.log1p(max([*counts, 1]))
    return tuple(
        Bin(math.log1p(count) / highest, f"{name}: {count:,}")
        for name, count in zip(names, counts, strict=True)
    )


def _y(value: float, top: float) -> float:
    return HEIGHT - _BOTTOM - (HEIGHT - _BOTTOM - _TOP) * value / top


def _grid(top: float) -> tuple[tuple[float, str], ...]:
    return tuple((round(_y(top * part, top), 1), _short(top * part)) for part in (0, 0.5, 1))


def _short(value: float) -> str:
    return f"{value / 1000:g}k" if value >= 1000 else f"{value:g}"


def _ticks(times: Sequence[datetime]) -> tuple[tuple[float, str], ...]:
    width = (WIDTH - _LEFT) / max(1, len(times))
    every = max(1, -(-len(times) // 6))
    if all(one.time() == time() for one in times):
        form = "%Y-%m-%d"
    elif (times[-1] - times[0]).days >= 1:
        form = "%d %b %H:%M"
    else:
        form = "%H:%M:%S"
    return tuple(
        (round(_LEFT + index * width, 1), times[index].strftime(form))
        for index in range(0, len(times) - every // 2, every)
    )


def _nice(value: float) -> float:
    unit = 1e-3
    while unit * 10 < value:
        unit *= 10
    return next((unit * m for m in (1, 2, 4, 5, 10) if unit * m >= value), value)
