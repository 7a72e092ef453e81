"""The report of a batch run: what was decided, over time, and the drift since the run before."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any, Final

from quorum.aggregator.study.drift import ALARM, population_stability_index
from quorum.core.messages import ACTIONS
from quorum.core.report.page import render
from quorum.core.report.plots import bars, histogram
from quorum.pipeline.batch.tally import BINS, Tally
from quorum.store.ledger import Run

__all__ = ["drift", "page"]

#: Below this index, a difference of two samples is noise.
NOTABLE: Final = 0.1
#: Over a longer time, days without a verdict are left out.
_MOST_DAYS: Final = 400
#: Rules and errors that the page lists.
_MOST_ROWS: Final = 50

_TEMPLATE: Final = Path(__file__).with_name("report.html")


def drift(before: Mapping[str, int], after: Mapping[str, int], detector: str) -> float | None:
    """The population stability index of a detector's scores between two runs.

    Returns:
        The index; None where one of the runs has fewer than 50 scores.
    """
    old = [before.get(f"{detector} {bin_}", 0) for bin_ in range(BINS)]
    new = [after.get(f"{detector} {bin_}", 0) for bin_ in range(BINS)]
    if min(sum(old), sum(new)) < 50:
        return None
    return population_stability_index(new, old)


def page(run: Run, tally: Tally, before: Run | None, *, title: str) -> str:
    """The report as one HTML page.

    Args:
        run: The run.
        tally: Its counts.
        before: The run before, to compare with.
        title: What was read.
    """
    seconds = max(1e-9, (run.ended_at - run.started_at).total_seconds())
    days = _filled(sorted({key.split(" ")[0] for key in tally.days}))
    series = {action.value: [tally.days[f"{day} {action}"] for day in days] for action in ACTIONS}
    return render(
        _TEMPLATE,
        title=title,
        began=_when(run.started_at),
        ended=_when(run.ended_at),
        policy=run.policy_version,
        tally=tally,
        rate=tally.read / seconds,
        actions=[_action(tally, action.value) for action in ACTIONS],
        counts=[(name, sum(counts)) for name, counts in series.items()],
        days=days,
        highest=max((sum(counts) for counts in zip(*series.values(), strict=True)), default=0),
        plot=bars([datetime.fromisoformat(day) for day in days], series),
        titles=[
            "\n".join(f"{day}: {counts[index]:,} {name}" for name, counts in series.items())
            for index, day in enumerate(days)
        ],
        rules=_most_common(tally.rules),
        detectors=list(_detectors(tally, before)),
        errors=_most_common(tally.errors),
    )


def _when(at: datetime) -> str:
    return at.strftime("%Y-%m-%d %H:%M:%S UTC")


def _action(tally: Tally, action: str) -> tuple[str, str, str]:
    count = tally.actions[action]
    share = count / tally.decided if tally.decided else 0.0
    return f"{count:,}", f"{action} ({share:.1%})", action


def _filled(days: list[str]) -> list[str]:
    """The days with those between them, unless that is a long time."""
    if not days:
        return []
    first, last = date.fromisoformat(days[0]), date.fromisoformat(days[-1])
    count = (last - first).days + 1
    if count > _MOST_DAYS:
        return days
    return [(first + timedelta(days=number)).isoformat() for number in range(count)]


def _most_common(counts: Mapping[str, int]) -> list[tuple[str, str]]:
    ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    return [(name, f"{count:,}") for name, count in ordered[:_MOST_ROWS]]


def _detectors(tally: Tally, before: Run | None) -> Iterator[dict[str, Any]]:
    """For each detector: its row of the table."""
    past: dict[str, Any] = dict(before.summary) if before else {}
    edges = [f"{bin_ / BINS:.2f}" for bin_ in range(BINS)]
    for name in sorted({key.split(" ")[0] for key in tally.versions}):
        versions = sorted(key.split(" ")[1] for key in tally.versions if key.startswith(f"{name} "))
        index = drift(past.get("scores", {}), tally.scores, name)
        yield {
            "name": name,
            "versions": ", ".join(versions),
            "statuses": [
                tally.statuses[f"{name} {status}"] for status in ("scored", "abstained", "failed")
            ],
            "bins": histogram([tally.scores[f"{name} {bin_}"] for bin_ in range(BINS)], edges),
            "drift": _drift_text(index, before),
        }


def _drift_text(index: float | None, before: Run | None) -> str:
    if before is None:
        return "no run before"
    if index is None:
        return "too few scores"
    size = "large" if index >= ALARM else "notable" if index >= NOTABLE else "none"
    return f"{size} ({index:.3f}) since {_when(before.ended_at)}"
