"""The verbs of ``quorum policy`` that learn from past cases: tune, fit, drift, compare-shadow."""

from __future__ import annotations

from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table
from ruamel.yaml import YAML

from quorum.aggregator.policy.policy import load_policy
from quorum.aggregator.study.drift import ALARM, Profiles
from quorum.aggregator.study.drift import drift as compare
from quorum.aggregator.study.shadow import compare_shadow
from quorum.apps.cli.policy_cases import Cases, Database, Limit, Since, Until, past_cases
from quorum.core.errors import InputError

if TYPE_CHECKING:
    from quorum.aggregator.study.tune import Tuned

__all__ = ["compare_shadow_command", "drift", "fit", "tune"]

Name = Annotated[str, typer.Argument(help="A policy's file, or the name of one that ships.")]


def tune(
    name: Name,
    score: Annotated[str, typer.Option(help="A detector, a label as violence/fight, a combiner.")],
    bound: Annotated[
        float, typer.Option(help="The share of wrongful removals that must not be exceeded.")
    ] = 0.02,
    confidence: Annotated[float, typer.Option(help="How sure that must be.")] = 0.95,
    cases: Cases = None,
    database: Database = None,
    since: Since = None,
    until: Until = None,
    limit: Limit = None,
) -> None:
    """Find the lowest threshold for `remove` that keeps wrongful removals below a bound.

    The reviewed cases must be a fair sample of those with high scores, not disputes alone.
    Exits with 1 where nothing can be promised.

    Example: quorum policy tune balanced --score spam --bound 0.02 --cases cases.jsonl
    """
    from quorum.aggregator.study.tune import reviewed_scores
    from quorum.aggregator.study.tune import tune as choose

    policy = load_policy(name)
    found = past_cases(cases, database, since, until, limit)
    scores, wrong = reviewed_scores(policy, found, score)
    made = choose(scores, wrong, bound, confidence)
    _tell(made, score, "combined" if score in policy.combiners else _function(score))
    if made.threshold is None:
        raise typer.Exit(1)


def _function(score: str) -> str:
    return "label" if "/" in score else "score"


def _tell(made: Tuned, score: str, function: str) -> None:
    say = typer.echo
    say(f"{made.labels:,} reviewed cases have a score of {score}")
    if made.threshold is None:
        say(f"{made.bound:.1%} wrongful at most, {made.confidence:.0%} sure, cannot be promised")
        if made.lacking is None:
            say("no number of labels would do: too many of the highest scores are wrong to remove")
        else:
            say(f"about {made.lacking:,} more reviewed cases with high scores are lacking")
        return
    say(
        f"remove from {made.threshold:g} on: at most {made.bound:.1%} of the removals are "
        f"wrongful, {made.confidence:.0%} sure"
    )
    say(f"of {made.removals:,} such cases here, {made.wrongful:,} were wrongful")
    say(f"it catches {made.caught:.1%} of what the reviewers removed")
    say("")
    say(f'    when: {function}("{score}") >= {made.threshold:g}')


def fit(
    score: Annotated[
        list[str], typer.Option(help="A detector, or a label as violence/fight; repeat it.")
    ],
    name: Annotated[str, typer.Option(help="What the combiner is called.")] = "risk",
    cases: Cases = None,
    database: Database = None,
    since: Since = None,
    until: Until = None,
    limit: Limit = None,
) -> None:
    """Fit a combiner of several scores on reviewed cases, and print it for a policy.

    Example: quorum policy fit --score spam --score violence --cases cases.jsonl
    """
    from quorum.aggregator.study.fit import fit as fit_combiner

    made = fit_combiner(name, score, past_cases(cases, database, since, until, limit))
    single, alone = made.best_single
    typer.echo(
        f"# fitted on {made.labels:,} reviewed cases, {made.harmful:,} of them removed\n"
        f"# area under the ROC curve on held-out cases: {made.roc_auc:.3f}; "
        f"{single} alone: {alone:.3f}"
    )
    section = {
        "bias": made.combiner.bias,
        "weights": dict(made.combiner.weights),
        **({"absent": dict(made.combiner.absent)} if made.combiner.absent else {}),
    }
    out = StringIO()
    YAML(typ="safe", pure=True).dump({"combiners": {name: section}}, out)
    typer.echo(out.getvalue(), nl=False)


def drift(
    reference: Annotated[
        Path | None, typer.Option(help="Score distributions to compare with, from --save.")
    ] = None,
    save: Annotated[Path | None, typer.Option(help="Write the distributions here.")] = None,
    alarm: Annotated[float, typer.Option(help="Index above which a detector has moved.")] = ALARM,
    cases: Cases = None,
    database: Database = None,
    since: Since = None,
    until: Until = None,
    limit: Limit = None,
) -> None:
    """Compare how detectors score now with how they scored before.

    Exits with 1 where something moved.

    Example: quorum policy drift --cases today.jsonl --reference reference.json
    """
    if reference is None and save is None:
        msg = "name a --reference to compare with, or a file to --save one"
        raise InputError(msg)
    now = Profiles()
    for case in past_cases(cases, database, since, until, limit):
        now.add_case(case)
    if save is not None:
        try:
            save.write_text(now.to_json() + "\n", encoding="utf-8")
        except OSError as error:
            msg = f"cannot write {save}: {error.strerror or error}"
            raise InputError(msg) from None
        typer.echo(f"the distributions of {now.verdicts:,} cases are in {save}")
    if reference is None:
        return
    try:
        then = Profiles.from_json(reference.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        msg = f"cannot read {reference}: {getattr(error, 'strerror', None) or error}"
        raise InputError(msg) from None
    table = Table("detector", "index", "scores", "before", "silent", "before", "versions", "")
    found = compare(now, then, alarm)
    for one in found:
        index = "too few" if one.index is None else f"{one.index:.3f}"
        known = one.versions[0] == one.versions[1]
        table.add_row(
            one.detector,
            index,
            f"{one.scores[0]:,}",
            f"{one.scores[1]:,}",
            f"{one.silent[0]:.1%}",
            f"{one.silent[1]:.1%}",
            "the same" if known else "changed",
            "[red]alarm[/]" if one.alarm else "",
        )
    Console().print(table)
    if any(one.alarm for one in found):
        raise typer.Exit(1)


def compare_shadow_command(
    name: Name,
    cases: Cases = None,
    database: Database = None,
    since: Since = None,
    until: Until = None,
    limit: Limit = None,
) -> None:
    """Tell what detectors, rules and policies in shadow would have done.

    Example: quorum policy compare-shadow mine.yaml --cases cases.jsonl
    """
    policy = load_policy(name)
    report = compare_shadow(policy, past_cases(cases, database, since, until, limit))
    console = Console()
    console.print(f"{report.cases:,} cases")
    if not report.detectors and not report.rules and not report.policies:
        console.print("nothing runs in shadow in these cases, and no rule of the policy does")
    for (detector, version), one in report.detectors.items():
        console.print(f"[bold]{detector}[/] {version} in shadow spoke in {one.seen:,} cases")
        if one.paired:
            console.print(f"  its scores differ by {one.difference / one.paired:.3f} on average")
        for (old, new), count in one.changes.most_common():
            if old != new:
                console.print(f"  {count:,} would be {new} instead of {old}")
    for rule, actions in report.rules.items():
        console.print(
            f"the rule [bold]{rule}[/] would have applied {sum(actions.values()):,} times"
        )
        for action, count in actions.most_common():
            console.print(f"  {count:,} of them were decided as {action}")
    for version, changes in report.policies.items():
        console.print(f"the policy [bold]{version}[/] watched {changes.total():,} cases")
        for (old, new), count in changes.most_common():
            if old != new:
                console.print(f"  {count:,} would be {new} instead of {old}")
