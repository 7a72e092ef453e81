"""``quorum policy statements``: statements of reasons for restrictions."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime
from typing import Annotated

import typer

from quorum.aggregator.policy.policy import Policy, load_policy
from quorum.aggregator.statements.record import TransparencyRecord
from quorum.aggregator.statements.statement import make_statement, submissions
from quorum.apps.cli.policy_cases import Since, Until, time_range

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
) -> None:
    """Print statements of reasons for the DSA Transparency Database, 100 a line.

    Verdicts of other policy versions are skipped and counted.

    Example: quorum policy statements balanced --database sqlite:///quorum.db > submit.jsonl
    """
    policy = load_policy(name)
    skipped: list[str] = []
    if text:
        for _, message in _stated(policy, database, since, until, language, skipped):
            typer.echo(message + "\n")
    else:
        records = (
            record
            for record, _ in _stated(policy, database, since, until, language, skipped)
            if record is not None
        )
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
) -> Iterator[tuple[TransparencyRecord | None, str]]:
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
                yield made.record, made.text
