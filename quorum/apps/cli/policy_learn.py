"""``quorum policy`` verbs that analyse past cases: tune, fit, drift, compare-shadow."""

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
from quorum.apps.cli.parameters import expanded
from quorum.apps.cli.policy_cases import CaseSelection, Name
from quorum.apps.cli.policy_json import (
    AsJson,
    drift_json,
    fit_json,
    print_json,
    shadow_json,
    tune_json,
)
from quorum.core.errors import InputError

if TYPE_CHECKING:
    from quorum.aggregator.study.tune import Tuned

__all__ = ["compare_shadow_command", "drift", "fit", "tune"]


@expanded
def tune(
    name: Name,
    cases: CaseSelection,
    score: Annotated[
        str, typer.Option(help="A detector, a label such as violence/fight, or a combiner.")
    ],
    bound: Annotated[
        float, typer.Option(help="The largest accepted share of wrongful removals.")
    ] = 0.02,
    confidence: Annotated[float, typer.Option(help="The confidence of the guarantee.")] = 0.95,
    as_json: AsJson = False,
) -> None:
    """Find the lowest threshold for `remove` that keeps wrongful removals below a bound.

    The reviewed cases must be a random sample of those with high scores, not only disputes.
    Exits with 1 if no threshold has the guarantee.

    Example: quorum policy tune balanced --score spam --bound 0.02 --cases cases.jsonl
    """
    from quorum.aggregator.study.tune import reviewed_scores
    from quorum.aggregator.study.tune import tune as choose

    policy = load_policy(name)
    found = cases.read()
    scores, wrong = reviewed_scores(policy, found, score)
    made = choose(scores, wrong, bound, confidence)
    if as_json:
        print_json(tune_json(made, score))
    else:
        function = "combined" if score in policy.combiners else _function(score)
        _print_threshold(made, score, function)
    if made.threshold is None:
        raise typer.Exit(1)


def _function(score: str) -> str:
    return "label" if "/" in score else "score"


def _print_threshold(made: Tuned, score: str, function: str) -> None:
    lines = [f"{made.labels:,} reviewed cases have a score of {score}"]
    limit = f"at most {made.bound:.1%} wrongful removals with {made.confidence:.0%} confidence"
    if made.threshold is not None:
        lines += [
            f"remove at {made.threshold:g} and above: {limit}",
            f"of {made.removals:,} such cases here, {made.wrongful:,} were wrongful",
            f"it catches {made.caught:.1%} of what the reviewers removed",
            "",
            f'    when: {function}("{score}") >= {made.threshold:g}',
        ]
    else:
        lines.append(f"no threshold guarantees {limit}")
        where = "high scores" if made.above is None else f"scores above {made.above:g}"
        lines.append(
            "more labels will not help: too many of the highest scores are wrong to remove"
            if made.labels_needed is None
            else f"it takes at least {made.labels_needed:,} more reviewed cases with {where}, "
            "none of them wrong to remove"
        )
    typer.echo("\n".join(lines))


@expanded
def fit(
    cases: CaseSelection,
    score: Annotated[
        list[str], typer.Option(help="A detector, or a label such as violence/fight. Repeatable.")
    ],
    name: Annotated[str, typer.Option(help="The name of the combiner.")] = "risk",
    as_json: AsJson = False,
) -> None:
    """Fit a combiner of several scores on reviewed cases, and print it for a policy.

    Example: quorum policy fit --score spam --score violence --cases cases.jsonl
    """
    from quorum.aggregator.study.fit import fit as fit_combiner

    made = fit_combiner(name, score, cases.read())
    if as_json:
        print_json(fit_json(name, made))
        return
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


@expanded
def drift(
    cases: CaseSelection,
    reference: Annotated[
        Path | None, typer.Option(help="Score distributions to compare with, from --save.")
    ] = None,
    save: Annotated[Path | None, typer.Option(help="Write the distributions here.")] = None,
    alarm: Annotated[float, typer.Option(help="Index above which a detector has drifted.")] = ALARM,
    as_json: AsJson = False,
) -> None:
    """Compare the distributions of detectors' scores with a reference.

    Exits with 1 if a detector has drifted.

    Example: quorum policy drift --cases today.jsonl --reference reference.json
    """
    if reference is None and save is None:
        msg = "name a --reference to compare with, or a file to --save one"
        raise InputError(msg)
    now = Profiles()
    for case in cases.read():
        now.add_case(case)
    if save is not None:
        try:
            save.write_text(now.to_json() + "\n", encoding="utf-8")
        except OSError as error:
            msg = f"cannot write {save}: {error.strerror or error}"
            raise InputError(msg) from None
        if not as_json:
            typer.echo(f"the distributions of {now.verdicts:,} cases are in {save}")
    saved = None if save is None else str(save)
    if reference is None:
        if as_json:
            print_json(drift_json((), now.verdicts, saved))
        return
    try:
        then = Profiles.from_json(reference.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        msg = f"cannot read {reference}: {getattr(error, 'strerror', None) or error}"
        raise InputError(msg) from None
    found = compare(now, then, alarm)
    if as_json:
        print_json(drift_json(found, now.verdicts, saved))
        raise typer.Exit(1 if any(one.alarm for one in found) else 0)
    table = Table("detector", "index", "scores", "before", "silent", "before", "versions", "")
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


@expanded
def compare_shadow_command(
    name: Name,
    cases: CaseSelection,
    as_json: AsJson = False,
) -> None:
    """Report what detectors, rules and policies in shadow would have decided.

    Example: quorum policy compare-shadow mine.yaml --cases cases.jsonl
    """
    policy = load_policy(name)
    report = compare_shadow(policy, cases.read())
    if as_json:
        print_json(shadow_json(report))
        return
    console = Console()
    console.print(f"{report.cases:,} cases")
    if not report.detectors and not report.rules and not report.policies:
        console.print("nothing runs in shadow in these cases, and no rule of the policy does")
    for (detector, version), one in report.detectors.items():
        console.print(f"[bold]{detector}[/] {version} in shadow: {one.seen:,} cases")
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
        console.print(f"the shadow policy [bold]{version}[/] decided {changes.total():,} cases")
        for (old, new), count in changes.most_common():
            if old != new:
                console.print(f"  {count:,} would be {new} instead of {old}")
