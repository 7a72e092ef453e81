"""``quorum policy statements``: statements of reasons for restrictions."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime
from typing import Annotated

import typer

from quorum.aggregator.policy.policy import Policy, load_policy
from quorum.aggregator.statements.statement import (
    Statement,
    chosen_language,
    make_statement,
    submissions,
)
from quorum.apps.cli.policy_cases import Since, Until, time_range
from quorum.apps.cli.policy_json import AsJson, print_json
from quorum.core.messages import Verdict

__all__ = ["statements"]


def statements(
    name: Annotated[
        str,
        typer.Argument(help="The policy that decided: a file, or a shipped name."),
    ],
    database: Annotated[
        str | None, typer.Option(help="The ledger (default: QUORUM_DATABASE).")
    ] = None,
    since: Since = None,
    until: Until = None,
    text: Annotated[
        bool, typer.Option("--text", help="Print the texts for uploaders instead of the records.")
    ] = False,
    language: Annotated[str, typer.Option(help="Language of the text, such as en or de.")] = "en",
    as_json: AsJson = False,
) -> None:
    """Print statements of reasons for the DSA Transparency Database, 100 a line.

    With --json, one object with the text and the record of each. Verdicts of other policy versions
    are skipped and counted.

    Example: quorum policy statements balanced --database sqlite:///quorum.db > submit.jsonl
    """
    policy = load_policy(name)
    chosen = chosen_language(language)
    skipped: list[str] = []
    made = _stated(policy, database, since, until, chosen, skipped)
    if as_json:
        found = [
            {
                "upload_id": verdict.upload_id,
                "verdict_id": verdict.id,
                "text": one.text,
                "record": None if one.record is None else one.record.to_json(),
            }
            for verdict, one in made
        ]
        print_json({"version": policy.version, "statements": found, "skipped": len(skipped)})
    elif text:
        for _, one in made:
            typer.echo(one.text + "\n")
    else:
        records = (one.record for _, one in made if one.record is not None)
        for body in submissions(records):
            typer.echo(json.dumps(body, ensure_ascii=False))
    if skipped:
        typer.echo(
            f"{len(skipped):,} verdicts were skipped: other policy versions decided them "
            f"(such as {skipped[0]})",
            err=True,
        )


def _stated(
    policy: Policy,
    database: str | None,
    since: datetime | None,
    until: datetime | None,
    language: str,
    skipped: list[str],
) -> Iterator[tuple[Verdict, Statement]]:
    from quorum.store.ledger import Ledger

    with Ledger(None if database == "-" else database) as ledger:
        for case in ledger.cases(time_range(since, until), order="decided"):
            verdict = case.verdict
            if case.upload is None or verdict is None:
                continue
            if verdict.policy_version != policy.version:
                skipped.append(verdict.policy_version)
                continue
            made = make_statement(policy, verdict, case.upload, language)
            if made is not None:
                yield verdict, made
