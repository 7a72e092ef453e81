"""``quorum policy``: read, check, explain, compare and test policies."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from quorum.aggregator.policy.policy import Policy, load_policy, shipped_policies
from quorum.aggregator.policy.text import policy_schema
from quorum.aggregator.study.backtest import Backtest, backtest_lines
from quorum.aggregator.study.check import check_policy
from quorum.aggregator.study.difference import differences, in_short
from quorum.aggregator.study.golden import load_golden, run_golden
from quorum.apps.cli import policy_learn
from quorum.apps.cli.parameters import expanded
from quorum.apps.cli.policy_cases import CaseSelection, Database, Limit, Name, Since, Until
from quorum.apps.cli.policy_explain import coloured, explain
from quorum.apps.cli.policy_init import init
from quorum.apps.cli.policy_json import (
    AsJson,
    backtest_json,
    check_json,
    golden_json,
    policy_json,
    print_json,
    refused_json,
)
from quorum.apps.cli.policy_radius import blast_radius
from quorum.apps.cli.policy_release import activate, publish, releases
from quorum.apps.cli.policy_report import write_report
from quorum.apps.cli.policy_rollout import rollout
from quorum.apps.cli.policy_statements import statements
from quorum.apps.cli.verb import verb
from quorum.core.errors import InputError, PolicyError

__all__ = ["app"]

app = verb(
    "Read, check, explain, compare and test policies.\n\nExample: quorum policy check mine.yaml"
)


@app.command("list")
def list_policies(as_json: AsJson = False) -> None:
    """List the shipped policies.

    Example: quorum policy list
    """
    if as_json:
        print_json({"policies": [policy_json(load_policy(name)) for name in shipped_policies()]})
        return
    table = Table("policy", "version", "what it does")
    for name in shipped_policies():
        policy = load_policy(name)
        table.add_row(name, policy.version, policy.description)
    Console().print(table)


@app.command()
def show(name: Name = "balanced", as_json: AsJson = False) -> None:
    """Print the YAML of a policy.

    Example: quorum policy show balanced > mine.yaml
    """
    if as_json:
        policy = load_policy(name)
        print_json({**policy_json(policy), "text": policy.text})
        return
    typer.echo(load_policy(name).text, nl=False)


@app.command()
def schema(as_json: AsJson = False) -> None:
    """Print the JSON Schema of policies, for editors.

    Example: quorum policy schema > policy.schema.json
    """
    typer.echo(json.dumps(policy_schema(), indent=2, ensure_ascii=False))


@app.command()
def check(name: Name, as_json: AsJson = False) -> None:
    """Find mistakes: errors, rules that can never apply, rules that never decide.

    Exits with 1 if there are errors, with 78 if the policy is not valid.

    Example: quorum policy check mine.yaml
    """
    try:
        policy = load_policy(name)
    except PolicyError as error:
        if not as_json:
            raise
        print_json(refused_json(error))
        raise typer.Exit(error.exit_code) from None
    problems = check_policy(policy)
    errors = sum(problem.severity == "error" for problem in problems)
    if as_json:
        print_json(check_json(policy, problems))
        raise typer.Exit(1 if errors else 0)
    console = Console()
    for problem in problems:
        spot = f"{policy.file or 'policy'}:{problem.line}:{problem.column}: "
        where = f"{spot}rule {problem.rule}: " if problem.rule else ""
        colour = "red" if problem.severity == "error" else "yellow"
        message = escape(f"{where}{problem.message}")
        console.print(f"[{colour}]{problem.severity}[/]: {message}", soft_wrap=True)
    console.print(
        f"{policy.version}: {len(policy.rules)} rules, {len(policy.detectors)} detectors, "
        f"{errors} errors, {len(problems) - errors} notes"
    )
    if errors:
        raise typer.Exit(1)


@app.command()
def test(
    name: Name,
    golden: Annotated[
        Path | None,
        typer.Option("--golden", help="The golden cases (default: beside it)."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Decide the golden cases beside a policy, and list those that fail.

    Example: quorum policy test mine.yaml
    """
    policy = load_policy(name)
    results = run_golden(policy, load_golden(policy, golden))
    failed = [result for result in results if result.wrong]
    shown = {result.decision.rule for result in results}
    unseen = [rule.name for rule in policy.rules if rule.name not in shown and not rule.shadow]
    if as_json:
        print_json(golden_json(policy, results, unseen))
        raise typer.Exit(1 if failed else 0)
    console = Console()
    for result in failed:
        console.print(f"[red]failed[/]: {escape(result.golden.name)}", soft_wrap=True)
        for sentence in result.wrong:
            console.print(f"  {escape(sentence)}", soft_wrap=True)
    if unseen:
        console.print(f"rules without a case: {', '.join(unseen)}", soft_wrap=True)
    console.print(f"{len(results) - len(failed)} of {len(results)} cases are as expected")
    if failed:
        raise typer.Exit(1)


app.command()(init)
app.command()(explain)


@app.command()
@expanded
def diff(
    old: Name,
    new: Name,
    cases: CaseSelection,
    short: Annotated[
        bool, typer.Option("--short", help="One line for each part that changes.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Describe the changes between two policies, and count their effect on past cases.

    \b
    quorum policy diff balanced strict --cases cases.jsonl
    quorum policy diff balanced mine.yaml --short
    """
    before, after = load_policy(old), load_policy(new)
    sentences = differences(before, after)
    if as_json:
        counted = None
        if cases.given:
            lines = cases.lines(after, None, before)
            counted = backtest_json(backtest_lines(lines, after, before, workers=1), after, before)
        print_json(
            {
                "old": before.version,
                "new": after.version,
                "differences": list(sentences),
                "in_short": list(in_short(before, after)),
                "backtest": counted,
            }
        )
        return
    console = Console()
    for sentence in in_short(before, after) if short else sentences:
        console.print(f"- {sentence}", soft_wrap=True, markup=False, highlight=False)
    if not sentences:
        console.print("The policies have the same content.")
    if cases.given:
        _summary(
            console, backtest_lines(cases.lines(after, None, before), after, before, workers=1)
        )


@app.command()
@expanded
def backtest(
    name: Name,
    cases: CaseSelection,
    against: Annotated[
        str | None,
        typer.Option(help="Compare with this policy (default: with the recorded actions)."),
    ] = None,
    detector: Annotated[
        list[str] | None,
        typer.Option(help="Use another version of a detector, such as spam@VERSION. Repeatable."),
    ] = None,
    report: Annotated[Path | None, typer.Option(help="Write an HTML report.")] = None,
    workers: Annotated[
        int | None, typer.Option(help="Number of processes (default: the number of cores).")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Decide past cases again under a candidate policy.

    Exits with 65 if no case has a prediction of a version that --detector names.

    Example: quorum policy backtest mine.yaml --cases cases.jsonl --report backtest.html
    """
    candidate = load_policy(name)
    base = None if against is None else load_policy(against)
    versions = _versions(candidate, detector or [])
    lines = cases.lines(candidate, versions, base)
    found = backtest_lines(lines, candidate, base, workers, versions)
    _check_versions(found, versions)
    if report is not None:
        write_report(report, found, candidate, base)
    if as_json:
        print_json(backtest_json(found, candidate, base))
        return
    _summary(Console(), found)
    if versions:
        typer.echo(f"{found.retried:,} of them have predictions of these versions")
    if report is not None:
        typer.echo(f"the report is in {report}")


app.command("blast-radius")(blast_radius)


@app.command("cases")
def export_cases(
    database: Database = "-",
    since: Since = None,
    until: Until = None,
    limit: Limit = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="As without: the cases are JSON, one a line.")
    ] = False,
) -> None:
    """Print the ledger's cases, one JSON object a line.

    Example: quorum policy cases --database sqlite:///quorum.db > cases.jsonl
    """
    for case in CaseSelection(None, database, since, until, limit).read():
        typer.echo(case.to_json())


app.command()(policy_learn.tune)
app.command()(policy_learn.fit)
app.command()(policy_learn.drift)
app.command("compare-shadow")(policy_learn.compare_shadow_command)
app.command()(statements)
app.command()(publish)
app.command()(activate)
app.command()(releases)
app.command()(rollout)


def _versions(policy: Policy, given: list[str]) -> dict[str, str]:
    versions = {}
    for one in given:
        name, separator, version = one.partition("@")
        if not separator or name not in policy.detectors:
            known = ", ".join(policy.detectors)
            msg = f"`{one}` is not a detector version; write DETECTOR@VERSION with one of {known}"
            raise InputError(msg)
        versions[name] = version
    return versions


def _check_versions(found: Backtest, versions: Mapping[str, str]) -> None:
    """Refuse a version that no case has a prediction of: nothing was tried with it."""
    for detector, version in versions.items():
        if not found.versions[detector, version]:
            msg = (
                f"none of the {found.cases:,} cases has a prediction of {detector}@{version}; "
                "`quorum models list` has the versions, and a shadow run makes predictions of one"
            )
            raise InputError(msg)


def _summary(console: Console, found: Backtest) -> None:
    table = Table("before", "after", "cases", "share")
    for (old, new), count in sorted(found.changes.items(), key=lambda item: -item[1]):
        style = "dim" if old == new else None
        table.add_row(
            coloured(old), coloured(new), f"{count:,}", f"{count / found.cases:.1%}", style=style
        )
    console.print(table)
    console.print(f"{found.cases:,} cases decided again; {found.changed:,} actions change")
    if found.unreadable:
        console.print(f"[yellow]{found.unreadable:,} lines are not a case[/]")
    for (rule, now, then), count in found.planned.most_common(5):
        what = f"{coloured(now)} becomes {coloured(then)} with time, by {escape(rule)}"
        console.print(f"{count:,} cases: {what}", soft_wrap=True)
    reviewed = sum(found.after.values())
    if reviewed:
        for candidate, name in ((False, "before"), (True, "after")):
            wrong, removed = found.wrongful_removals(candidate=candidate)
            console.print(
                f"{name}: of {removed:,} removals that reviewers saw, they would not have "
                f"removed {wrong:,}"
            )
