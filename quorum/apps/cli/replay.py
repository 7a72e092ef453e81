"""``quorum replay``: past cases decided again under a policy, and what changes published."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from quorum.aggregator.decider import Decider
from quorum.aggregator.policy.policy import Policy, load_policy
from quorum.apps.cli.policy_cases import Limit, Since, Until, time_range
from quorum.apps.cli.verb import verb
from quorum.core.messages import Verdict, now
from quorum.pipeline.capped import count_capped
from quorum.store.histories import history_before
from quorum.store.ledger import Ledger, LedgerCase

__all__ = ["app", "is_due", "replayed"]

app = verb()

#: Verdicts that are published and then recorded together.
_TOGETHER = 500


@app.command()
def replay(
    policy: Annotated[str, typer.Option(help="A policy's file, or the name of one that ships.")],
    since: Since = None,
    until: Until = None,
    database: Annotated[
        str | None, typer.Option(help="The ledger; by default QUORUM_DATABASE.")
    ] = None,
    verdicts: Annotated[
        str | None, typer.Option(help="Topic or .jsonl file to publish the new revisions to.")
    ] = None,
    limit: Limit = None,
    due: Annotated[
        bool,
        typer.Option(
            "--due", help="Only cases whose verdict's `plan` is due: what no stream carried out."
        ),
    ] = False,
    yes: Annotated[
        bool,
        typer.Option("--yes", help="Publish and record; without it, only show what would change."),
    ] = False,
) -> None:
    """Decide past cases again, as after a roll-back of a policy; a dry run unless --yes.

    Each action that changes gives a superseding revision, which is published and recorded. What a
    reviewer decided stays. Doing it again changes nothing.

    \b
    quorum replay --policy balanced --since 2026-03-01 --until 2026-03-02
    quorum replay --policy balanced --since 2026-03-01 --verdicts projects/P/topics/T --yes
    quorum replay --policy mine.yaml --due --verdicts projects/P/topics/T --yes
    """
    decider = Decider(load_policy(policy), on_capped=count_capped)
    if due and since is None:
        since = now() - _window(decider.policy)
    changes: Counter[tuple[str, str]] = Counter()
    seen = 0
    with Ledger(None if database == "-" else database) as ledger:
        waiting: list[Verdict] = []
        for case in ledger.cases(time_range(since, until), order="decided"):
            if limit is not None and seen >= limit:
                break
            if due and not is_due(case):
                continue
            seen += 1
            verdict = replayed(decider, case, ledger)
            if verdict is not None and case.verdict is not None:
                changes[case.verdict.action.value, verdict.action.value] += 1
                waiting.append(verdict)
            if yes and len(waiting) >= _TOGETHER:
                _publish(waiting, verdicts, ledger)
                waiting = []
        if yes and waiting:
            _publish(waiting, verdicts, ledger)
    table = Table("before", "after", "cases")
    for (old, new), count in changes.most_common():
        table.add_row(old, new, f"{count:,}")
    console = Console()
    if changes:
        console.print(table)
    total = sum(changes.values())
    outcome = (
        "published and recorded" if yes else "nothing was published (a dry run; --yes does it)"
    )
    console.print(f"{seen:,} cases decided again, {total:,} actions change; {outcome}")


def is_due(case: LedgerCase) -> bool:
    """Whether the verdict that holds has a ``plan`` whose time has come."""
    later = None if case.verdict is None else case.verdict.plan
    return later is not None and later.at <= now()


def _window(policy: Policy) -> timedelta:
    """How far back plans that are due are looked for: twice the longest, and a day."""
    longest = max(
        (rule.then.after for rule in policy.all_rules if rule.then is not None), default=0.0
    )
    return timedelta(days=1, seconds=2 * longest)


def replayed(decider: Decider, case: LedgerCase, ledger: Ledger) -> Verdict | None:
    """The verdict that supersedes the one that holds; None where its action stays.

    Args:
        decider: Decides, under its cap.
        case: What was recorded. An edit that has no verdict yet is left to what decides it.
        ledger: Gives the uploader's history as it stood before the case was decided, so that
            what is replayed first does not change what comes after.
    """
    if case.upload is None or case.verdict is None or case.awaits_decision:
        return None
    first = min(verdict.at for verdict in case.verdicts)
    uploader = history_before(ledger, decider.policy, case.upload, first)
    return decider.again(
        case.upload,
        case.predictions,
        case.counted_reviews,
        case.verdict,
        at=now(),
        uploader=uploader,
        earlier=case.verdicts,
    )


def _publish(made: list[Verdict], address: str | None, ledger: Ledger) -> None:
    """Publish, and when that is durable, record: a crash in between publishes the same again."""
    if address is not None:
        from quorum.pipeline.publish import publish

        publish(made, address, "/quorum/replay")
    ledger.record(made)
