"""``quorum policy rollout``: both sides of a rule for a share of uploaders, and its guard."""

from __future__ import annotations

import math
from collections.abc import Iterator
from datetime import datetime
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from quorum.aggregator.study.rollout import Difference, Outcome, RolloutReport, compare
from quorum.apps.cli.options import LedgerDatabase, SettingsFile
from quorum.apps.cli.policy_cases import Since, Until, time_range
from quorum.apps.cli.policy_json import AsJson, print_json
from quorum.apps.cli.policy_release import activate
from quorum.core.errors import InputError

__all__ = ["rollout"]

_PASSED = 1


def rollout(
    rule: Annotated[str, typer.Argument(help="The rule with `rollout`.")],
    database: LedgerDatabase = None,
    since: Since = None,
    until: Until = None,
    confidence: Annotated[
        float, typer.Option(min=0.5, max=0.9999, help="Of each interval, however often you look.")
    ] = 0.95,
    guard: Annotated[
        list[str] | None,
        typer.Option(
            help="The most that the rule's side may exceed the other, such as remove=0.01, "
            "overturned=0.05 or latency=0.5 (seconds). Repeatable.",
            show_default=False,
        ),
    ] = None,
    back_to: Annotated[
        str | None,
        typer.Option(help="A released version to put in force if a guard is passed."),
    ] = None,
    to: Annotated[str | None, typer.Option(help="Topic to publish that to, as well.")] = None,
    settings: SettingsFile = None,
    as_json: AsJson = False,
) -> None:
    """Compare the uploaders that a rule's rollout takes with the others, from the ledger.

    A difference is called real by a sequential test, so that you may look as often as you like. A
    guard is passed when the whole interval lies above it: then the exit code is 1, and with
    --back-to the former policy is put in force. Run it from a timer.

    \b
    quorum policy rollout spam-new --since 2026-03-01
    quorum policy rollout spam-new --guard remove=0.01 --back-to mine@1234567890abcdef
    """
    bounds = _bounds(guard or [])
    report = compare(_outcomes(rule, database, since, until), confidence)
    if not report.taken.uploads and not report.others.uploads:
        msg = f"no verdict of that time names the rollout of the rule {rule}"
        raise InputError(msg)
    passed = [
        name
        for name, most in bounds.items()
        if report.differences[name].real and report.differences[name].low > most
    ]
    if as_json:
        print_json(_json(rule, report, passed))
    else:
        _show(rule, report, confidence)
        for name in passed:
            typer.echo(f"the guard {name}={bounds[name]:g} is passed")
    if not passed:
        return
    if back_to is not None:
        note = f"rollout of {rule}: the guard of {', '.join(passed)} is passed"
        activate(back_to, to=to, database=database, by="rollout", note=note, settings=settings)
    raise typer.Exit(_PASSED)


def _bounds(given: list[str]) -> dict[str, float]:
    known = ("remove", "review", "restrict", "allow", "overturned", "latency")
    bounds = {}
    for one in given:
        name, separator, value = one.partition("=")
        try:
            bounds[name] = float(value)
        except ValueError:
            separator = ""
        if not separator or name not in known:
            msg = f"`{one}` is no guard; write remove=0.01, with one of {', '.join(known)}"
            raise InputError(msg)
    return bounds


def _outcomes(
    rule: str, database: str | None, since: datetime | None, until: datetime | None
) -> Iterator[Outcome]:
    """The uploads whose last verdict by software names the rule's rollout."""
    from quorum.store.ledger import Ledger

    with Ledger(database) as ledger:
        for case in ledger.cases(
            time_range(since, until), order="decided", parts=("upload", "verdicts", "reviews")
        ):
            decided = max(
                (one for one in case.verdicts if one.decided_by != "reviewer"),
                key=lambda verdict: verdict.order,
                default=None,
            )
            side = None if decided is None else (decided.rollout or {}).get(rule)
            if case.upload is None or decided is None or side is None:
                continue
            review = max(
                case.current_reviews, key=lambda one: (one.at, one.event_id()), default=None
            )
            first = min(case.verdicts, key=lambda verdict: verdict.order)
            yield Outcome(
                case.upload.uploader,
                side == "in",
                decided.action.value,
                None if review is None else review.action is not decided.action,
                first.latency,
            )


def _show(rule: str, report: RolloutReport, confidence: float) -> None:
    table = Table("", f"with {rule}", "without", "difference", f"{confidence:.0%} interval", "real")
    taken, others = report.taken, report.others
    table.add_row("uploads", f"{taken.uploads:,}", f"{others.uploads:,}", "", "", "")
    table.add_row("uploaders", f"{taken.uploaders:,}", f"{others.uploaders:,}", "", "", "")
    for name, difference in report.differences.items():
        told = _seconds if name == "latency" else _share
        table.add_row(
            name,
            told(taken.values[name]),
            told(others.values[name]),
            told(difference.value),
            f"{told(difference.low)} to {told(difference.high)}",
            "yes" if difference.real else "not yet",
        )
    Console().print(table)


def _share(value: float | None) -> str:
    return "-" if value is None or not math.isfinite(value) else f"{value:.2%}"


def _seconds(value: float | None) -> str:
    return "-" if value is None or not math.isfinite(value) else f"{value:.2f} s"


def _json(rule: str, report: RolloutReport, passed: list[str]) -> dict[str, Any]:
    def finite(value: float | None) -> float | None:
        return value if value is not None and math.isfinite(value) else None

    def told(one: Difference) -> dict[str, Any]:
        return {
            "value": one.value,
            "low": finite(one.low),
            "high": finite(one.high),
            "real": one.real,
        }

    sides = {
        name: {"uploads": side.uploads, "uploaders": side.uploaders, **side.values}
        for name, side in (("with", report.taken), ("without", report.others))
    }
    return {
        "rule": rule,
        **sides,
        "differences": {name: told(one) for name, one in report.differences.items()},
        "passed": passed,
    }
