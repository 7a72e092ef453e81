"""``quorum jobs restore``: the open cases of a job whose state is lost, brought back."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Annotated

import typer

from quorum.apps.cli import options
from quorum.core.errors import QuorumError

__all__ = ["restore"]

#: What is published together.
_TOGETHER = 500


def restore(
    uploads: Annotated[str, typer.Option(help="Subscription of uploads of the job.")],
    also: Annotated[
        list[str] | None,
        typer.Option(help="Its subscriptions of predictions and reviews. Repeatable."),
    ] = None,
    database: options.LedgerDatabase = None,
    since: Annotated[
        datetime | None,
        typer.Option(
            help="Also replay all that was published from this time (UTC) on: what the ledger has "
            "not recorded yet.",
            show_default=False,
        ),
    ] = None,
    days: Annotated[
        float, typer.Option(help="How far back the ledger is searched for uploads.")
    ] = 7.0,
    yes: Annotated[
        bool, typer.Option("--yes", help="Do it; without it, only show what would be done.")
    ] = False,
) -> None:
    """Bring back the open cases of a job whose state is lost; a dry run unless --yes.

    Uploads that the ledger knows without a verdict are delivered again: by setting the job's
    subscriptions back to the first of them, if they retain what was acknowledged, else by
    publishing them again. What was decided meanwhile gets the same verdict id again. Doing it
    twice is harmless. Then start the job without state.

    \b
    quorum jobs restore --uploads projects/P/subscriptions/quorum-uploads-stream
      --also projects/P/subscriptions/quorum-reviews-stream --database postgresql://…
    """
    from quorum.apps.cli.policy_cases import time_range
    from quorum.core.messages import now
    from quorum.pipeline.control.restore import look, open_cases, plan_restore, seek
    from quorum.store.ledger import Ledger, TimeRange

    at = now()
    begin = time_range(since, None).since
    replays = [look(path, at) for path in (uploads, *(also or ()))]
    with Ledger(database) as ledger:
        found = list(open_cases(ledger, TimeRange(since=at - timedelta(days=days))))
        newest = ledger.bounds()
    plan = plan_restore(found, replays, begin)
    if newest is None:
        typer.echo("the ledger has no uploads")
    else:
        typer.echo(f"the ledger's last upload was published at {newest[1]:%FT%TZ}")
    typer.echo(
        f"{plan.open:,} uploads have no verdict"
        + (f", the first of them published at {plan.oldest:%FT%TZ}" if plan.oldest else "")
    )
    will = "set back" if yes else "would be set back"
    for one in plan.seeks:
        typer.echo(f"{one.subscription}: {will} to {plan.since:%FT%TZ}")
    for one in replays:
        if one.reaches is None:
            typer.echo(f"{one.subscription}: retains nothing that was acknowledged")
    if plan.publish:
        again = "published again" if yes else "would be published again"
        typer.echo(f"{len(plan.publish):,} uploads: {again} from the ledger to {plan.topic}")
    if not plan.seeks and not plan.publish:
        typer.echo("there is nothing to bring back")
        return
    if not yes:
        typer.echo("nothing was done (a dry run; --yes does it)")
        return
    if plan.publish:
        from quorum.pipeline.publish import publish

        if not plan.topic or plan.topic.startswith("_"):
            msg = f"the topic of {uploads} is gone, so that nothing can be published to it"
            raise QuorumError(msg)
        for first in range(0, len(plan.publish), _TOGETHER):
            publish(plan.publish[first : first + _TOGETHER], plan.topic, "/quorum/restore")
    seek(plan)
    typer.echo("done: start the job without state, and its open cases are decided")
