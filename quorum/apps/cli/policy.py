"""``quorum policy``: read, check, explain, compare and test policies."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table
from rich.tree import Tree

from quorum.aggregator.policy.policy import Policy, load_policy, shipped_policies
from quorum.aggregator.policy.text import policy_schema
from quorum.aggregator.study.backtest import Backtest, backtest_lines
from quorum.aggregator.study.check import check_policy
from quorum.aggregator.study.difference import differences
from quorum.aggregator.study.explain import Change, Explanation
from quorum.aggregator.study.explain import explain as explain_case
from quorum.aggregator.study.golden import load_golden, read_golden, run_golden
from quorum.aggregator.study.record import PastCase
from quorum.apps.cli import policy_learn
from quorum.apps.cli.policy_cases import (
    Cases,
    Database,
    Limit,
    Since,
    Until,
    case_lines,
    past_cases,
)
from quorum.apps.cli.policy_report import write_report
from quorum.apps.cli.policy_statements import statements
from quorum.core.errors import InputError

__all__ = ["app"]

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    help="Read, check, explain, compare and test policies.\n\n"
    "Example: quorum policy check mine.yaml",
)

Name = Annotated[str, typer.Argument(help="A policy's file, or the name of one that ships.")]

_COLOURS = {"allow": "green", "restrict": "yellow", "review": "blue", "remove": "red"}


@app.command("list")
def list_policies() -> None:
    """The policies that ship.

    Example: quorum policy list
    """
    table = Table("policy", "version", "what it does")
    for name in shipped_policies():
        policy = load_policy(name)
        table.add_row(name, policy.version, policy.description)
    Console().print(table)


@app.command()
def show(name: Name = "balanced") -> None:
    """Print a policy as it was written, to start another from.

    Example: quorum policy show balanced > mine.yaml
    """
    typer.echo(load_policy(name).text, nl=False)


@app.command()
def schema() -> None:
    """Print the JSON Schema of policies, for editors.

    Example: quorum policy schema > policy.schema.json
    """
    typer.echo(json.dumps(policy_schema(), indent=2, ensure_ascii=False))


@app.command()
def check(name: Name) -> None:
    """Find mistakes: what is wrong, what can never apply, what never decides.

    Exits with 1 where something surely is not meant, with 78 where it is no valid policy.

    Example: quorum policy check mine.yaml
    """
    policy = load_policy(name)
    console = Console()
    problems = check_policy(policy)
    for problem in problems:
        where = f"rule {problem.rule}: " if problem.rule else ""
        colour = "red" if problem.severity == "error" else "yellow"
        told = escape(f"{where}{problem.message}")
        console.print(f"[{colour}]{problem.severity}[/]: {told}", soft_wrap=True)
    errors = sum(problem.severity == "error" for problem in problems)
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
        Path | None, typer.Option("--golden", help="The golden cases; by default beside it.")
    ] = None,
) -> None:
    """Decide the golden cases beside a policy, and tell which are not as expected.

    Example: quorum policy test mine.yaml
    """
    policy = load_policy(name)
    results = run_golden(policy, load_golden(policy, golden))
    console = Console()
    failed = [result for result in results if result.wrong]
    for result in failed:
        console.print(f"[red]failed[/]: {escape(result.golden.name)}", soft_wrap=True)
        for sentence in result.wrong:
            console.print(f"  {escape(sentence)}", soft_wrap=True)
    shown = {result.decision.rule for result in results}
    unseen = [rule.name for rule in policy.rules if rule.name not in shown and not rule.shadow]
    if unseen:
        console.print(f"no case shows: {', '.join(unseen)}", soft_wrap=True)
    console.print(f"{len(results) - len(failed)} of {len(results)} cases are as expected")
    if failed:
        raise typer.Exit(1)


@app.command()
def explain(
    upload: Annotated[
        str | None, typer.Argument(help="An upload's id, in the cases; or none with --score.")
    ] = None,
    policy: Annotated[str, typer.Option(help="A file, or the name of one that ships.")] = (
        "balanced"
    ),
    score: Annotated[
        list[str] | None,
        typer.Option(help="A score to try instead, as spam=0.9 or violence=missing; repeat it."),
    ] = None,
    cases: Cases = None,
    database: Database = None,
) -> None:
    """Draw the path from predictions to action, and what would have led elsewhere.

    Example: quorum policy explain --score spam=0.9 --score violence=0.1 --score copyright=abstained
    """
    made = load_policy(policy)
    if score:
        case = _typed_case(made, score)
    elif upload is None:
        msg = "name an upload (with --cases or --database), or give scores with --score"
        raise InputError(msg)
    else:
        case = _find(upload, past_cases(cases, database, policy=made))
    _draw(made, case, explain_case(made, case))


@app.command()
def diff(
    old: Name,
    new: Name,
    cases: Cases = None,
    database: Database = None,
    since: Since = None,
    until: Until = None,
    limit: Limit = None,
) -> None:
    """Say in words what changes between two policies, and over past cases in numbers.

    Example: quorum policy diff balanced strict --cases cases.jsonl
    """
    before, after = load_policy(old), load_policy(new)
    console = Console()
    sentences = differences(before, after)
    for sentence in sentences:
        console.print(f"- {sentence}", soft_wrap=True, markup=False, highlight=False)
    if not sentences:
        console.print("They say the same.")
    if cases or database:
        lines = case_lines(cases, database, since, until, limit, after)
        _summary(console, backtest_lines(lines, after, before, workers=1))


@app.command()
def backtest(
    name: Name,
    cases: Cases = None,
    database: Database = None,
    since: Since = None,
    until: Until = None,
    limit: Limit = None,
    against: Annotated[
        str | None, typer.Option(help="Compare with this policy; by default, with what was done.")
    ] = None,
    detector: Annotated[
        list[str] | None,
        typer.Option(help="Try another version of a detector, as spam@VERSION; repeat it."),
    ] = None,
    report: Annotated[Path | None, typer.Option(help="Write a page to read (HTML).")] = None,
    workers: Annotated[int | None, typer.Option(help="Processes; by default, the cores.")] = None,
) -> None:
    """Decide past cases again under a candidate policy.

    Example: quorum policy backtest mine.yaml --cases cases.jsonl --report backtest.html
    """
    candidate = load_policy(name)
    base = None if against is None else load_policy(against)
    versions = _versions(candidate, detector or [])
    lines = case_lines(cases, database, since, until, limit, candidate, versions)
    found = backtest_lines(lines, candidate, base, workers, versions)
    _summary(Console(), found)
    if versions:
        typer.echo(f"the versions that are tried had spoken in {found.retried:,} of them")
    if report is not None:
        write_report(report, found, candidate, base)
        typer.echo(f"the report is in {report}")


@app.command("cases")
def export_cases(
    database: Database = "-", since: Since = None, until: Until = None, limit: Limit = None
) -> None:
    """Print the ledger's cases, one JSON object a line, for backtests elsewhere.

    Example: quorum policy cases --database sqlite:///quorum.db > cases.jsonl
    """
    for case in past_cases(None, database, since, until, limit):
        typer.echo(case.to_json())


app.command()(policy_learn.tune)
app.command()(policy_learn.fit)
app.command()(policy_learn.drift)
app.command("compare-shadow")(policy_learn.compare_shadow_command)
app.command()(statements)


def _versions(policy: Policy, given: list[str]) -> dict[str, str]:
    versions = {}
    for one in given:
        name, separator, version = one.partition("@")
        if not separator or name not in policy.detectors:
            known = ", ".join(policy.detectors)
            msg = f"`{one}` names no version; write DETECTOR@VERSION with one of {known}"
            raise InputError(msg)
        versions[name] = version
    return versions


def _typed_case(policy: Policy, scores: list[str]) -> PastCase:
    told = {}
    for one in scores:
        name, separator, value = one.partition("=")
        if not separator:
            msg = f"`{one}` is no score; write it as spam=0.9 or violence=missing"
            raise InputError(msg)
        told[name.strip()] = value.strip()
    body = ", ".join(f"{json.dumps(name)}: {value}" for name, value in told.items())
    text = f"[{{name: typed, upload: {{id: these scores}}, scores: {{{body}}}, expect: allow}}]"
    return read_golden(policy, text)[0].case


def _find(upload: str, cases: Iterator[PastCase]) -> PastCase:
    for case in cases:
        if case.facts.get("id") == upload:
            return case
    msg = f"no case of the upload {upload} is there"
    raise InputError(msg)


def _coloured(action: str) -> str:
    return f"[{_COLOURS.get(action, 'white')}]{action}[/]"


def _draw(policy: Policy, case: PastCase, told: Explanation) -> None:
    console = Console()
    decision = told.decision
    root = Tree(f"[bold]{escape(str(case.facts['id']))}[/] under {policy.version}")
    heard = root.add("what the detectors said")
    for step in told.detectors:
        heard.add(f"[bold]{escape(step.name)}[/] {escape(step.text)}")
    asked = root.add("what the rules made of it")
    for step in told.rules:
        if step.outcome in ("true", "error"):
            asked.add(f"[bold]{escape(step.name)}[/] {escape(step.text)}: {step.action}")
    silent = sum(step.outcome not in ("true", "error") for step in told.rules)
    if silent:
        asked.add(f"[dim]{silent} more rules do not apply[/]")
    end = root.add(f"[bold]{_coloured(decision.action)}[/], decided by {escape(decision.rule)}")
    for reason in decision.reasons:
        end.add(escape(reason))
    for code, action in decision.territories:
        end.add(f"in {code}: {_coloured(action)}")
    if told.changes:
        other = root.add("what would have led elsewhere")
        for change in told.changes:
            other.add(f"{_coloured(change.action)} ({escape(change.rule)}) {_moves(change)}")
    console.print(root)


def _moves(change: Change) -> str:
    return " and ".join(
        f"if {escape(name)} had scored {_near(new)} "
        + ("instead of not answering" if old is None else f"instead of {old:.3g}")
        for name, old, new in change.scores
    )


def _near(value: float) -> str:
    """A turning point as people say it: 0.85, or just under it."""
    whole = round(value, 4)
    if abs(value - whole) < 1e-9:
        return f"{whole:g}"
    return f"just {'under' if value < whole else 'over'} {whole:g}"


def _summary(console: Console, found: Backtest) -> None:
    table = Table("before", "after", "cases", "share")
    for (old, new), count in sorted(found.changes.items(), key=lambda item: -item[1]):
        style = "dim" if old == new else None
        table.add_row(
            _coloured(old), _coloured(new), f"{count:,}", f"{count / found.cases:.1%}", style=style
        )
    console.print(table)
    console.print(f"{found.cases:,} cases decided again; {found.changed:,} actions change")
    if found.unreadable:
        console.print(f"[yellow]{found.unreadable:,} lines are no case[/]")
    reviewed = sum(found.after.values())
    if reviewed:
        for candidate, told in ((False, "before"), (True, "after")):
            wrong, removed = found.wrongful_removals(candidate=candidate)
            console.print(
                f"{told}: of {removed:,} removals that reviewers saw, they would not have "
                f"removed {wrong:,}"
            )
