"""Reads the totals that features want, by a function that is written for them.

Loops over windows and sums cost three times as much as the function's plain lines, and this is the
most frequent work of all that features do.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final

from quorum.aggregator.features.keys import UNITS, Event
from quorum.aggregator.features.windows import History, Spans
from quorum.aggregator.policy.values import Feature

__all__ = ["TOTALS", "Read", "summed", "totals_reader"]

#: The kinds of features that are read from totals.
TOTALS: Final = ("count", "rate", "sum")

#: Takes the histories of an upload's keys, its event, where the windows begin, and what gets the
#: values: of each total that of the key which has the greatest.
Read = Callable[[Sequence[History], Event, Sequence[int], dict[str, float]], None]


def summed(feature: Feature) -> str:
    """The field whose total a feature is read from; the empty one counts uploads."""
    return feature.of if feature.kind == "sum" else ""


def totals_reader(features: Iterable[Feature], sums: Sequence[str], spans: Spans) -> Read:
    """The function for features over these sums and windows.

    Args:
        features: Those that are read from totals, among others.
        sums: The fields that are summed, at least one, in the order of ``History.totals``.
        spans: The windows, in the order of where they begin.
    """
    windows = {over: at for at, (over, _) in enumerate(spans.overs)}
    read = [
        (one, sums.index(summed(one)), windows[int(one.over)])
        for one in features
        if one.kind in TOTALS
    ]
    wanted = sorted({(window, total) for _, total, window in read})
    lines = [
        "def read(histories, event, begins, found):",
        *(f"    m{total}_{window} = least if histories else 0" for window, total in wanted),
        "    edge = event.edge",
        "    for history in histories:",
        f"        {_names('b', len(windows))} = late(history, edge, begins)",
        f"        {_names('t', len(sums))} = history.totals",
        "        seconds = history.seconds",
        "        end = bisect_left(seconds, edge)",
    ]
    for window in sorted({window for window, _ in wanted}):
        lines.append(f"        at = bisect_left(seconds, b{window})")
        for total in (total for other, total in wanted if other == window):
            lines += [
                f"        n = t{total}[end] - t{total}[at]",
                f"        if n > m{total}_{window}: m{total}_{window} = n",
            ]
    lines.append(f"    {_names('a', len(sums))} = event.amounts")
    keys = {f"k{at}": one.key for at, (one, *_) in enumerate(read)}
    for name, (one, total, window) in zip(keys, read, strict=True):
        value = f"(a{total} + m{total}_{window}) / units"
        if not sums[total]:
            value = f"1.0 + m{total}_{window}"
            if one.kind == "rate":
                value = f"({value}) * 60.0 / {one.over!r}"
        lines.append(f"    found[{name}] = {value}")
    names: dict[str, Any] = {
        "bisect_left": bisect_left,
        "late": spans.begins_of,
        "least": -math.inf,
        "units": UNITS,
        **keys,
    }
    exec("\n".join(lines), names)  # noqa: S102 made of numbers alone
    made: Read = names["read"]
    return made


def _names(letter: str, count: int) -> str:
    return "".join(f"{letter}{at}, " for at in range(count))
