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
from quorum.apps.cli.parameters import expanded
from quorum.apps.cli.policy_cases import CaseOptions, Cases, Database, Limit, Name, Since, Until
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

_COLOURS = {"allow": "green", "restrict": "yellow", "review": "blue", "remove": "red"}


@app.command("list")
def list_policies() -> None:
    """List the shipped policies.

    Example: quorum policy list
    """
    table = Table("policy", "version", "what it does")
    for name in shipped_policies():
        policy = load_policy(name)
        table.add_row(name, policy.version, policy.description)
    Console().print(table)


@app.command()
def show(name: Name = "balanced") -> None:
    """Print the YAML of a policy, as a start for your own.

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
    """Find mistakes: errors, rules that can never apply, rules that never decide.

    Exits with 1 if there are errors, with 78 if the policy is not valid.

    Example: quorum policy check mine.yaml
    """
    policy = load_policy(name)
    console = Console()
    problems = check_policy(policy)
    for problem in problems:
        where = f"rule {problem.rule}: " if problem.rule else ""
        colour = "red" if problem.severity == "error" else "yellow"
        message = escape(f"{where}{problem.message}")
        console.print(f"[{colour}]{problem.severity}[/]: {message}", soft_wrap=True)
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
        Path | None,
        typer.Option("--golden", help="The golden cases (default: beside it)."),
    ] = None,
) -> None:
    """Decide the golden cases beside a policy, and list those that fail.

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
        console.print(f"rules without a case: {', '.join(unseen)}", soft_wrap=True)
    console.print(f"{len(results) - len(failed)} of {len(results)} cases are as expected")
    if failed:
        raise typer.Exit(1)


@app.command()
def explain(
    upload: Annotated[
        str | None, typer.Argument(help="The id of an upload in the cases; without --score.")
    ] = None,
    policy: Annotated[
        str, typer.Option(help="A policy's file, or the name of a shipped policy.")
    ] = ("balanced"),
    score: Annotated[
        list[str] | None,
        typer.Option(help="A score instead, such as spam=0.9 or violence=missing. Repeatable."),
    ] = None,
    cases: Cases = None,
    database: Database = None,
) -> None:
    """Explain a decision: its path from predictions to action, and counterfactuals.

    Example: quorum policy explain --score spam=0.9 --score violence=0.1 --score copyright=abstained
    """
    made = load_policy(policy)
    if score:
        case = _typed_case(made, score)
    elif upload is None:
        msg = "name an upload (with --cases or --database), or give scores with --score"
        raise InputError(msg)
    else:
        case = _find(upload, CaseOptions(cases, database).read(made))
    _draw(made, case, explain_case(made, case))


@app.command()
@expanded
def diff(
    old: Name,
    new: Name,
    cases: CaseOptions,
) -> None:
    """Describe the changes between two policies, and count their effect on past cases.

    Example: quorum policy diff balanced strict --cases cases.jsonl
    """
    before, after = load_policy(old), load_policy(new)
    console = Console()
    sentences = differences(before, after)
    for sentence in sentences:
        console.print(f"- {sentence}", soft_wrap=True, markup=False, highlight=False)
    if not sentences:
        console.print("The policies have the same content.")
    if cases.given:
        _summary(console, backtest_lines(cases.lines(after), after, before, workers=1))


@app.command()
@expanded
def backtest(
    name: Name,
    cases: CaseOptions,
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
) -> None:
    """Decide past cases again under a candidate policy.

    Example: quorum policy backtest mine.yaml --cases cases.jsonl --report backtest.html
    """
    candidate = load_policy(name)
    base = None if against is None else load_policy(against)
    versions = _versions(candidate, detector or [])
    lines = cases.lines(candidate, versions)
    found = backtest_lines(lines, candidate, base, workers, versions)
    _summary(Console(), found)
    if versions:
        typer.echo(f"{found.retried:,} of them have predictions of these versions")
    if report is not None:
        write_report(report, found, candidate, base)
        typer.echo(f"the report is in {report}")


@app.command("cases")
def export_cases(
    database: Database = "-", since: Since = None, until: Until = None, limit: Limit = None
) -> None:
    """Print the ledger's cases, one JSON object a line.

    Example: quorum policy cases --database sqlite:///quorum.db > cases.jsonl
    """
    for case in CaseOptions(None, database, since, until, limit).read():
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
            msg = f"`{one}` is not a detector version; write DETECTOR@VERSION with one of {known}"
            raise InputError(msg)
        versions[name] = version
    return versions


def _typed_case(policy: Policy, scores: list[str]) -> PastCase:
    values = {}
    for one in scores:
        name, separator, value = one.partition("=")
        if not separator:
            msg = f"`{one}` is no score; write it as spam=0.9 or violence=missing"
            raise InputError(msg)
        values[name.strip()] = value.strip()
    body = ", ".join(f"{json.dumps(name)}: {value}" for name, value in values.items())
    text = f"[{{name: typed, upload: {{id: these scores}}, scores: {{{body}}}, expect: allow}}]"
    return read_golden(policy, text)[0].case


def _find(upload: str, cases: Iterator[PastCase]) -> PastCase:
    for case in cases:
        if case.facts.get("id") == upload:
            return case
    msg = f"no case of the upload {upload} was found"
    raise InputError(msg)


def _coloured(action: str) -> str:
    return f"[{_COLOURS.get(action, 'white')}]{action}[/]"


def _draw(policy: Policy, case: PastCase, explanation: Explanation) -> None:
    console = Console()
    decision = explanation.decision
    root = Tree(f"[bold]{escape(str(case.facts['id']))}[/] under {policy.version}")
    detectors = root.add("predictions")
    for step in explanation.detectors:
        detectors.add(f"[bold]{escape(step.name)}[/] {escape(step.text)}")
    rules = root.add("rules")
    for step in explanation.rules:
        if step.outcome in ("true", "error"):
            rules.add(f"[bold]{escape(step.name)}[/] {escape(step.text)}: {step.action}")
    silent = sum(step.outcome not in ("true", "error") for step in explanation.rules)
    if silent:
        rules.add(f"[dim]{silent} more rules do not apply[/]")
    end = root.add(f"[bold]{_coloured(decision.action)}[/], decided by {escape(decision.rule)}")
    for reason in decision.reasons:
        end.add(escape(reason))
    for code, action in decision.territories:
        end.add(f"in {code}: {_coloured(action)}")
    if explanation.changes:
        other = root.add("what would change the action")
        for change in explanation.changes:
            other.add(f"{_coloured(change.action)} ({escape(change.rule)}) {_moves(change)}")
    console.print(root)


def _moves(change: Change) -> str:
    return " and ".join(
        f"if {escape(name)} had scored {_near(new)} "
        + ("instead of not answering" if old is None else f"instead of {old:.3g}")
        for name, old, new in change.scores
    )


def _near(value: float) -> str:
    """A threshold for people: 0.85, or just under 0.85."""
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
        console.print(f"[yellow]{found.unreadable:,} lines are not a case[/]")
    reviewed = sum(found.after.values())
    if reviewed:
        for candidate, name in ((False, "before"), (True, "after")):
            wrong, removed = found.wrongful_removals(candidate=candidate)
            console.print(
                f"{name}: of {removed:,} removals that reviewers saw, they would not have "
                f"removed {wrong:,}"
            )
