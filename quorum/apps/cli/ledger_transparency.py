"""``quorum ledger transparency``: the DSA's transparency report, counted from the ledger."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated

import typer

from quorum.apps.cli import options
from quorum.core.errors import ConfigurationError
from quorum.core.territories import TERRITORIES
from quorum.store.ledger import Ledger, TimeRange

__all__ = ["transparency"]

_DAY = ["%Y-%m-%d"]


def transparency(
    first: Annotated[
        datetime, typer.Option("--from", help="The first day of the period (UTC).", formats=_DAY)
    ],
    last: Annotated[
        datetime, typer.Option("--to", help="The last day of the period (UTC).", formats=_DAY)
    ],
    out: Annotated[Path, typer.Option(help="The folder for the CSV parts; it is made.")],
    provider: Annotated[str, typer.Option(help="The name of the service provider.")] = "",
    service: Annotated[str, typer.Option(help="The name of the service.")] = "",
    language: Annotated[str, typer.Option(help="Only uploads in this language, such as de.")] = "",
    territory: Annotated[
        str, typer.Option(help="Only uploads shown in this country, such as DE.")
    ] = "",
    policy: options.PolicyName = None,
    settings: options.SettingsFile = None,
    database: options.LedgerDatabase = None,
) -> None:
    """Write the transparency report of the DSA (Articles 15, 24, 42) for a period.

    The CSV parts of the harmonised template of Implementing Regulation (EU) 2024/2835, and
    needs-a-person.csv: the cells that the ledger cannot know. The policy gives grounds and
    statement categories. Write it before `quorum ledger prune` takes the period's cases.

    \b
    quorum ledger transparency --from 2026-01-01 --to 2026-06-30 --out report
    quorum ledger transparency --from 2026-01-01 --to 2026-06-30 --language de --out report-de
    """
    from quorum.aggregator.policy.policy import load_policy
    from quorum.core.settings import load_settings
    from quorum.store.transparency.figures import count
    from quorum.store.transparency.parts import build
    from quorum.store.transparency.report import Service
    from quorum.store.transparency.values import Asked

    if last < first:
        msg = f"--to {last.date()} lies before --from {first.date()}"
        raise ConfigurationError(msg)
    if territory and territory.upper() not in TERRITORIES:
        msg = f"--territory {territory}: no country of ISO 3166-1; write it as DE"
        raise ConfigurationError(msg)
    end = last.replace(tzinfo=UTC) + timedelta(days=1)
    asked = Asked(TimeRange(first.replace(tzinfo=UTC), end), language, territory)
    categories = load_policy(policy or load_settings(settings).policy).categories
    with Ledger(database) as ledger:
        figures = ledger.transact(lambda connection: count(connection, asked, categories))
    report = build(figures, Service(provider, service))
    report.write(out)
    own = figures.own_total("law").total + figures.own_total("terms").total
    typer.echo(
        f"{own:,} measures at own initiative, {sum(n.received for n in figures.notices.values()):,}"
        f" notices, {figures.complaints.total:,} complaints"
    )
    typer.echo(
        f"wrote {len(report.files())} files to {out}; {len(report.gaps):,} cells need a person: "
        "needs-a-person.csv"
    )
    started = figures.first_verdict
    if started is not None and started > first.replace(tzinfo=UTC):
        day = started.date().isoformat()
        typer.echo(f"the ledger has no verdict from before {day}: what came earlier is not counted")
