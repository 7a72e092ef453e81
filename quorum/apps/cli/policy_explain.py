"""``quorum policy explain``: the path of a decision, and what would change it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta
from typing import Annotated, Final

import typer
from rich.console import Console
from rich.markup import escape
from rich.tree import Tree

from quorum.aggregator.decision.accounts import account_choice
from quorum.aggregator.policy.policy import Policy, load_policy, shipped_policies
from quorum.aggregator.study.explain import Change, Explanation
from quorum.aggregator.study.explain import explain as explain_case
from quorum.aggregator.study.golden import read_golden
from quorum.aggregator.study.record import PastCase
from quorum.apps.cli.policy_cases import Cases, CaseSelection, Database
from quorum.apps.cli.policy_json import AsJson, explain_json, print_json
from quorum.core.errors import InputError
from quorum.core.messages import AccountState

__all__ = ["coloured", "explain"]

_COLOURS: Final = {"allow": "green", "restrict": "yellow", "review": "blue", "remove": "red"}


def coloured(action: str) -> str:
    """An action as Rich markup in its colour."""
    return f"[{_COLOURS.get(action, 'white')}]{action}[/]"


def explain(
    upload: Annotated[
        str | None, typer.Argument(help="The id of an upload in the cases; without --score.")
    ] = None,
    policy: Annotated[
        str | None,
        typer.Option(
            help="A policy's file, or the name of a shipped policy (default: the one that the "
            "verdict names, if the ledger has it; else balanced).",
            show_default=False,
        ),
    ] = None,
    score: Annotated[
        list[str] | None,
        typer.Option(help="A score instead, such as spam=0.9 or violence=missing. Repeatable."),
    ] = None,
    cases: Cases = None,
    database: Database = None,
    as_json: AsJson = False,
) -> None:
    """Explain a decision: its path from predictions to action, and counterfactuals.

    Example: quorum policy explain --score spam=0.9 --score violence=0.1 --score copyright=abstained
    """
    made = load_policy(policy or "balanced")
    if score:
        case = _typed_case(made, score)
    elif upload is None:
        msg = "name an upload (with --cases or --database), or give scores with --score"
        raise InputError(msg)
    else:
        selection = CaseSelection(cases, database)
        case = _find(upload, selection.read(made))
        if policy is None and (named := _named(case, database, made)) != made:
            made = named
            case = _find(upload, selection.read(made))
    made = case.side(made)
    found = explain_case(made, case)
    if as_json:
        print_json(explain_json(made, case, found))
    else:
        _draw(made, case, found)


def _named(case: PastCase, database: str | None, otherwise: Policy) -> Policy:
    """The policy that a case's verdict names, if its text is known."""
    version = case.policy_version
    if version is None or version == otherwise.version:
        return otherwise
    for name in shipped_policies():
        if (shipped := load_policy(name)).version == version:
            return shipped
    if database is not None:
        from quorum.store.ledger import Ledger
        from quorum.store.ledger.releases import policy_texts

        with Ledger(None if database == "-" else database) as ledger:
            texts = ledger.transact(lambda connection: policy_texts(connection, [version]))
        if version in texts:
            return Policy.from_text(texts[version])
    typer.echo(
        f"{version} decided, and its text is not known here: this is {otherwise.version} "
        "(give --policy FILE)",
        err=True,
    )
    return otherwise


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


def _draw(policy: Policy, case: PastCase, explanation: Explanation) -> None:
    console = Console()
    decision = explanation.decision
    root = Tree(f"[bold]{escape(str(case.facts['id']))}[/] under {policy.version}")
    detectors = root.add("predictions")
    for step in explanation.detectors:
        detectors.add(f"[bold]{escape(step.name)}[/] {escape(step.text)}")
    if explanation.features:
        features = root.add("features over time")
        for name, value in explanation.features:
            features.add(f"[bold]{escape(name)}[/] {'unknown' if value is None else f'{value:g}'}")
    rules = root.add("rules")
    for step in explanation.rules:
        if step.outcome in ("true", "error"):
            rules.add(f"[bold]{escape(step.name)}[/] {escape(step.text)}: {step.action}")
    silent = sum(step.outcome not in ("true", "error") for step in explanation.rules)
    if silent:
        rules.add(f"[dim]{silent} more rules do not apply[/]")
    end = root.add(f"[bold]{coloured(decision.action)}[/], decided by {escape(decision.rule)}")
    for reason in decision.reasons:
        end.add(escape(reason))
    for code, action in decision.territories:
        end.add(f"in {code}: {coloured(action)}")
    if (account := account_choice(policy, decision.rule, decision.action)) is not None:
        whom = "a human confirms it" if account.state is AccountState.PROPOSED else "at once"
        end.add(f"account: [bold]{account.action}[/] ({whom}): {escape(account.reason)}")
    if (later := explanation.plan) is not None:
        when = timedelta(microseconds=later.at)
        end.add(
            f"in {when}, if nothing else comes: {coloured(later.action)} ({escape(later.rule)}): "
            f"{escape(later.reason)}"
        )
    if explanation.changes:
        other = root.add("what would change the action")
        for change in explanation.changes:
            other.add(f"{coloured(change.action)} ({escape(change.rule)}) {_moves(change)}")
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
