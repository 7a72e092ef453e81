"""``quorum policy blast-radius``: what a policy would have changed last week."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from quorum.aggregator.policy.policy import Policy, load_policy
from quorum.aggregator.study.blast_radius import BlastRadius, Estimate
from quorum.aggregator.study.features import with_features
from quorum.aggregator.study.record import read_cases
from quorum.aggregator.study.trial import try_policy
from quorum.apps.cli.options import LedgerDatabase
from quorum.apps.cli.policy_cases import Name, Since, Until, time_range
from quorum.apps.cli.policy_explain import coloured
from quorum.apps.cli.policy_json import AsJson, print_json

__all__ = ["blast_radius"]

_WEEK = timedelta(days=7)


def blast_radius(
    name: Name,
    against: Annotated[
        str | None,
        typer.Option(
            help="Compare with this policy (default: the released one in force, else the recorded "
            "actions).",
            show_default=False,
        ),
    ] = None,
    database: LedgerDatabase = None,
    cases: Annotated[
        list[Path] | None,
        typer.Option("--cases", help="Read these files of past cases, whole, and no ledger."),
    ] = None,
    since: Since = None,
    until: Until = None,
    most: Annotated[
        int, typer.Option(min=100, help="Read at most so many cases; of more, a sample.")
    ] = 20_000,
    as_json: AsJson = False,
) -> None:
    """Say how many of last week's uploads, uploaders and views a policy would have changed.

    Where the week has more cases than --most, whole uploaders are drawn, and each number is an
    estimate with its 95 % interval. Views are those that producers send with an upload (`views`).

    \b
    quorum policy blast-radius mine.yaml
    quorum policy blast-radius mine.yaml --against balanced --since 2026-03-01 --until 2026-03-08
    quorum policy blast-radius mine.yaml --against balanced --cases cases.jsonl
    """
    candidate = load_policy(name)
    base = None if against is None else load_policy(against)
    if cases:
        found = read_cases(cases)
        policies = [candidate, *([] if base is None else [base])]
        if any(one.has_features for one in policies):
            found = iter(with_features(found, policies))
        radius = try_policy(((one, 1.0) for one in found), candidate, base).radius
    else:
        end = until or datetime.now(UTC)
        radius, base = _of_ledger(database, candidate, base, since or end - _WEEK, end)(most)
    if as_json:
        version = None if base is None else base.version
        print_json({"version": candidate.version, "against": version, **radius.to_json()})
        return
    _show(radius, base)


def _of_ledger(
    database: str | None,
    candidate: Policy,
    base: Policy | None,
    since: datetime,
    until: datetime,
) -> Callable[[int], tuple[BlastRadius, Policy | None]]:
    from quorum.store.ledger import Ledger
    from quorum.store.ledger.releases import in_force
    from quorum.store.past_cases import draw_sample, read_sample

    def work(most: int) -> tuple[BlastRadius, Policy | None]:
        with Ledger(database) as ledger:
            chosen = base
            if chosen is None and (released := ledger.transact(in_force)) is not None:
                chosen = Policy.from_text(released.release.text)
            sample = draw_sample(ledger, time_range(since, until), most)
            with _progress(len(sample.ids)) as told:
                read = read_sample(ledger, sample, candidate, chosen)
                return try_policy(read, candidate, chosen, sample.frame, told).radius, chosen

    return work


@contextmanager
def _progress(total: int) -> Iterator[Callable[[int], None]]:
    """A bar on standard error, where that is a terminal."""
    console = Console(stderr=True)
    with Progress(console=console, transient=True, disable=not console.is_terminal) as shown:
        task = shown.add_task("deciding again", total=total)
        yield lambda done: shown.update(task, completed=done)


def _show(radius: BlastRadius, base: Policy | None) -> None:
    console = Console()
    frame = radius.frame
    table = Table("", "change", "of", "share", "95 % interval" if radius.sampled else "")
    of_views = radius.views_of_all
    rows = (
        ("uploads", radius.uploads, frame.uploads),
        ("uploaders", radius.uploaders, frame.uploaders),
        ("views", radius.views, 0 if of_views is None else of_views.value),
        ("more severe", radius.severer, frame.uploads),
        ("milder", radius.milder, frame.uploads),
    )
    for label, one, total in rows:
        if one is None:
            table.add_row(label, "unknown: no upload says its views", "", "", "")
            continue
        share = f"{one.value / total:.2%}" if total else "-"
        interval = _interval(one) if radius.sampled else ""
        table.add_row(label, f"{one.value:,.0f}", f"{total:,.0f}", share, interval)
    console.print(table)
    for (before, after), one in radius.changes.items():
        told = f" ({_interval(one)})" if radius.sampled else ""
        what = f"{coloured(before)} becomes {coloured(after)}: {one.value:,.0f} uploads{told}"
        console.print(what, soft_wrap=True)
    if radius.reworded.value:
        console.print(
            f"{radius.reworded.value:,.0f} uploads keep their action, for another harm or in other "
            "territories",
            soft_wrap=True,
        )
    how = "a sample of whole uploaders" if radius.sampled else "all"
    with_what = "the recorded actions" if base is None else base.version
    typer.echo(f"{radius.read:,} cases were decided again ({how}), compared with {with_what}")


def _interval(one: Estimate) -> str:
    return f"{one.low:,.0f} to {one.high:,.0f}"
