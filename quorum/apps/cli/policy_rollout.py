"""``quorum policy rollout``: both sides of what is rolled out to a share, and its guard."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from quorum.aggregator.policy.policy import Policy
from quorum.aggregator.study.rollout import (
    Difference,
    Outcome,
    RolloutReport,
    compare,
    measure_text,
)
from quorum.apps.cli.options import LedgerDatabase, SettingsFile
from quorum.apps.cli.policy_cases import Since, Until, time_range
from quorum.apps.cli.policy_json import AsJson, print_json
from quorum.apps.cli.policy_release import activate
from quorum.core.errors import InputError
from quorum.store.ledger.errors import LedgerUnavailable

__all__ = ["rollout"]

_PASSED = 1

#: Releases among which the one before the rollout is looked for, the newest first.
_RELEASES = 1000


def rollout(
    rule: Annotated[
        str,
        typer.Argument(
            help="What is rolled out: a rule or a version of a detector by its name, a candidate "
            "policy by its version.",
        ),
    ],
    database: LedgerDatabase = None,
    since: Since = None,
    until: Until = None,
    confidence: Annotated[
        float, typer.Option(min=0.5, max=0.9999, help="Of each interval, however often you look.")
    ] = 0.95,
    guard: Annotated[
        list[str] | None,
        typer.Option(
            help="The most that the side with it may exceed the other, such as remove=0.01, "
            "overturned=0.05 or latency=0.5 (seconds). Repeatable.",
            show_default=False,
        ),
    ] = None,
    back_to: Annotated[
        str | None,
        typer.Option(help="A released version to put in force if a guard is passed."),
    ] = None,
    stop: Annotated[
        bool,
        typer.Option("--stop", help="As --back-to, with the release before the rollout began."),
    ] = False,
    to: Annotated[str | None, typer.Option(help="Topic to publish that to, as well.")] = None,
    every: Annotated[
        float | None,
        typer.Option(min=1, help="Look again each so many seconds, until a guard is passed."),
    ] = None,
    settings: SettingsFile = None,
    as_json: AsJson = False,
) -> None:
    """Compare the uploaders that a rollout takes with the others, from the ledger.

    A difference is called real by a sequential test, so that you may look as often as you like. A
    guard is passed when the whole interval lies above it: then the exit code is 1, and with
    --stop or --back-to the former policy is put in force.

    \b
    quorum policy rollout spam-new --since 2026-03-01
    quorum policy rollout stricter@1234567890abcdef --guard remove=0.01 --stop --every 60
    """
    bounds = _bounds(guard or [])
    if every is not None and not bounds:
        msg = "--every looks until a guard is passed; give one, such as --guard remove=0.01"
        raise InputError(msg)
    while True:
        try:
            passed = _look(rule, database, since, until, confidence, bounds, as_json)
        except (InputError, LedgerUnavailable) as error:
            if every is None:
                raise
            typer.echo(f"{error}; the next look is in {every:g} s", err=True)
            passed = []
        if passed or every is None:
            break
        time.sleep(every)
    if not passed:
        return
    if stop and back_to is None:
        back_to = _former(rule, database)
    if back_to is not None:
        note = f"rollout of {rule}: the guard of {', '.join(passed)} is passed"
        activate(back_to, to=to, database=database, by="rollout", note=note, settings=settings)
    raise typer.Exit(_PASSED)


def _look(
    rule: str,
    database: str | None,
    since: datetime | None,
    until: datetime | None,
    confidence: float,
    bounds: Mapping[str, float],
    as_json: bool,
) -> list[str]:
    """Compare both sides, print that, and tell which guards are passed."""
    report = compare(_outcomes(rule, database, since, until), confidence)
    if not report.taken.uploads and not report.others.uploads:
        msg = f"no verdict of that time names the rollout of {rule}"
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
    return passed


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
    name: str, database: str | None, since: datetime | None, until: datetime | None
) -> Iterator[Outcome]:
    from quorum.store.ledger import Ledger
    from quorum.store.rollouts import PARTS, rollout_outcomes

    with Ledger(database) as ledger:
        cases = ledger.cases(time_range(since, until), order="decided", parts=PARTS)
        yield from (found for named, found in rollout_outcomes(cases) if named == name)


def _former(name: str, database: str | None) -> str | None:
    """The policy that was in force before this was rolled out; None if it is not any more."""
    from quorum.store.ledger import Ledger
    from quorum.store.ledger.releases import history

    with Ledger(database) as ledger:
        found = ledger.transact(lambda connection: history(connection, _RELEASES))
    for number, one in enumerate(found):
        if name not in Policy.from_text(one.release.text).rollouts:
            return one.release.policy_version if number else None
    msg = f"no release is from before the rollout of {name}; give --back-to"
    raise InputError(msg)


def _show(rule: str, report: RolloutReport, confidence: float) -> None:
    table = Table("", f"with {rule}", "without", "difference", f"{confidence:.0%} interval", "real")
    taken, others = report.taken, report.others
    table.add_row("uploads", f"{taken.uploads:,}", f"{others.uploads:,}", "", "", "")
    table.add_row("uploaders", f"{taken.uploaders:,}", f"{others.uploaders:,}", "", "", "")
    for name, difference in report.differences.items():
        table.add_row(
            name,
            measure_text(name, taken.values[name]),
            measure_text(name, others.values[name]),
            measure_text(name, difference.value),
            f"{measure_text(name, difference.low)} to {measure_text(name, difference.high)}",
            "yes" if difference.real else "not yet",
        )
    Console().print(table)


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
