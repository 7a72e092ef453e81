"""The report of a batch: one page that needs nothing else, and the drift to the run before."""

from __future__ import annotations

import html
import math
from collections.abc import Mapping
from datetime import date, datetime, timedelta
from typing import Any

from quorum.aggregator.study.drift import population_stability_index
from quorum.core.messages import ACTIONS
from quorum.pipeline.batch.tally import BINS, Tally
from quorum.store.ledger import Run

__all__ = ["drift", "page"]

#: Population stability: under 0.1 is noise, from 0.25 on the scores are others than before.
NOTABLE = 0.1
LARGE = 0.25

_COLOURS = {"allow": "#2e7d32", "restrict": "#b26a00", "review": "#1565c0", "remove": "#b71c1c"}

#: A bar is two points wide at least.
_MOST_DAYS = 400

_STYLE = """
:root{color-scheme:light dark}
body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem}
table{border-collapse:collapse}td,th{padding:.2rem .8rem .2rem 0;text-align:left}
td.n{text-align:right;font-variant-numeric:tabular-nums}svg{max-width:100%}
.note{opacity:.75}
"""


def drift(before: Mapping[str, int], after: Mapping[str, int], detector: str) -> float | None:
    """Population stability index of a detector's scores between two runs.

    Returns:
        The index; None where one of the runs has under 50 scores.
    """
    old = [before.get(f"{detector} {bin_}", 0) for bin_ in range(BINS)]
    new = [after.get(f"{detector} {bin_}", 0) for bin_ in range(BINS)]
    if min(sum(old), sum(new)) < 50:
        return None
    return population_stability_index(new, old)


def page(run: Run, tally: Tally, before: Run | None, *, title: str) -> str:
    """The report as HTML; all that comes from uploads is escaped.

    Args:
        run: The run.
        tally: What it found.
        before: The run before, to compare with.
        title: What was read.
    """
    seconds = max(1e-9, (run.ended_at - run.started_at).total_seconds())
    parts = [
        f"<h1>{html.escape(title)}</h1>",
        (
            f"<p>{_when(run.started_at)} to {_when(run.ended_at)} under the policy "
            f"<b>{html.escape(run.policy_version)}</b>: {tally.read:,} uploads read "
            f"({tally.read / seconds:,.0f}/s), {tally.decided:,} decided, {tally.known:,} known "
            f"before, {tally.unchanged:,} unchanged, {tally.dead:,} dead letters.</p>"
        ),
        "<h2>By action</h2>",
        _actions(tally),
        "<h2>Over time</h2>",
        _days(tally),
        "<h2>By rule</h2>",
        _counts(tally.rules),
        "<h2>Detectors</h2>",
        _detectors(tally, before),
    ]
    if tally.errors:
        parts += ["<h2>Dead letters</h2>", _counts(tally.errors)]
    body = "\n".join(parts)
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width">'
        f"<title>{html.escape(title)}</title><style>{_STYLE}</style></head>"
        f"<body>{body}</body></html>"
    )


def _when(at: datetime) -> str:
    return at.strftime("%Y-%m-%d %H:%M:%S UTC")


def _actions(tally: Tally) -> str:
    rows = []
    for action in ACTIONS:
        count = tally.actions[action.value]
        share = count / tally.decided if tally.decided else 0.0
        bar = (
            f'<svg width="320" height="14" role="img" aria-label="{share:.1%}">'
            f'<rect width="{share * 320:.1f}" height="14" fill="{_COLOURS[action.value]}"/></svg>'
        )
        rows.append(
            f'<tr><th>{action.value}</th><td class="n">{count:,}</td>'
            f'<td class="n">{share:.1%}</td><td>{bar}</td></tr>'
        )
    return f"<table>{''.join(rows)}</table>"


def _filled(days: list[str]) -> list[str]:
    """With the days between them, where a page has room: a gap is seen as one."""
    if not days:
        return []
    first, last = date.fromisoformat(days[0]), date.fromisoformat(days[-1])
    count = (last - first).days + 1
    if count > _MOST_DAYS:
        return days
    return [(first + timedelta(days=number)).isoformat() for number in range(count)]


def _days(tally: Tally) -> str:
    days = _filled(sorted({key.split(" ")[0] for key in tally.days}))
    if not days:
        return '<p class="note">Nothing was decided.</p>'
    totals = {day: sum(tally.days[f"{day} {action}"] for action in _COLOURS) for day in days}
    highest = max(totals.values())
    width = max(2.0, min(40.0, 800 / len(days)))
    bars = []
    for index, day in enumerate(days):
        y = 120.0
        for action, colour in _COLOURS.items():
            height = 120 * tally.days[f"{day} {action}"] / highest
            y -= height
            told = f"{day}: {tally.days[f'{day} {action}']:,} {action}"
            bars.append(
                f'<rect x="{index * width:.1f}" y="{y:.1f}" width="{width * 0.9:.1f}" '
                f'height="{height:.1f}" fill="{colour}"><title>{html.escape(told)}</title></rect>'
            )
    wide = width * len(days)
    label = f"verdicts a day, from {days[0]} to {days[-1]}"
    return (
        f'<svg viewBox="0 0 {wide:.0f} 120" width="{wide:.0f}" height="120" role="img" '
        f'aria-label="{html.escape(label)}">{"".join(bars)}</svg>'
        f'<p class="note">{html.escape(label)}; at most {highest:,}. From below: '
        f"{', '.join(_COLOURS)}.</p>"
    )


def _counts(counts: Mapping[str, int]) -> str:
    rows = [
        f'<tr><td class="n">{count:,}</td><td>{html.escape(name)}</td></tr>'
        for name, count in sorted(counts.items(), key=lambda item: (-item[1], item[0]))[:50]
    ]
    return f"<table>{''.join(rows)}</table>"


def _detectors(tally: Tally, before: Run | None) -> str:
    past: dict[str, Any] = dict(before.summary) if before else {}
    rows = [
        (
            "<tr><th>detector</th><th>version</th><th>scored</th><th>abstained</th><th>failed</th>"
            "<th>scores from 0 to 1</th><th>drift</th></tr>"
        )
    ]
    for name in sorted({key.split(" ")[0] for key in tally.versions}):
        versions = sorted(key.split(" ")[1] for key in tally.versions if key.startswith(f"{name} "))
        said = [tally.statuses[f"{name} {status}"] for status in ("scored", "abstained", "failed")]
        index = drift(past.get("scores", {}), tally.scores, name)
        rows.append(
            f"<tr><th>{html.escape(name)}</th><td>{html.escape(', '.join(versions))}</td>"
            + "".join(f'<td class="n">{count:,}</td>' for count in said)
            + f"<td>{_histogram(tally, name)}</td><td>{_drift_words(index, before)}</td></tr>"
        )
    return f"<table>{''.join(rows)}</table>"


def _histogram(tally: Tally, name: str) -> str:
    counts = [tally.scores[f"{name} {bin_}"] for bin_ in range(BINS)]
    # By the logarithm: the few high scores are what one looks for beside the many low ones.
    heights = [math.log1p(count) for count in counts]
    highest = max(heights) or 1.0
    bars = "".join(
        f'<rect x="{index * 8}" y="{40 - 40 * height / highest:.1f}" width="7" '
        f'height="{40 * height / highest:.1f}" fill="currentColor">'
        f"<title>{index / BINS:.2f}: {counts[index]:,}</title></rect>"
        for index, height in enumerate(heights)
    )
    label = f"scores of {name}, on a logarithmic scale"
    return (
        f'<svg width="{8 * BINS}" height="40" role="img" aria-label="{html.escape(label)}">'
        f"{bars}</svg>"
    )


def _drift_words(index: float | None, before: Run | None) -> str:
    if before is None:
        return "no run before"
    if index is None:
        return "too few scores"
    told = "large" if index >= LARGE else "notable" if index >= NOTABLE else "none"
    return f"{told} ({index:.3f}) since {_when(before.ended_at)}"
