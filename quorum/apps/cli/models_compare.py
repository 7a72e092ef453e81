"""``quorum models compare``: whether a candidate is fit to replace the version in use."""

from __future__ import annotations

import json
import os
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from quorum.apps.cli.models_measure import load, measured, rows_seen_by, run_all
from quorum.apps.cli.models_options import AsJson, Data, Name, Seed

if TYPE_CHECKING:
    from quorum.apps.cli.models_traffic import Traffic
    from quorum.models.detectors import Detector

__all__ = ["compare"]


def compare(
    name: Name,
    data: Data,
    new: Annotated[str, typer.Option(help="Reference of the candidate, such as file:mine.")],
    old: Annotated[
        str | None, typer.Option(help="Reference of the version in use; else the shipped one.")
    ] = None,
    margin: Annotated[float, typer.Option(help="ROC-AUC that may be lost without notice.")] = 0.002,
    leave_out_seen: Annotated[
        bool,
        typer.Option(
            "--leave-out-seen", help="Leave out rows that a version was trained on, however many."
        ),
    ] = False,
    database: Annotated[
        str | None,
        typer.Option(
            help="Ledger of ordinary uploads to try the candidate on (default: QUORUM_DATABASE)."
        ),
    ] = None,
    policy: Annotated[
        str | None, typer.Option(help="Policy that decides them (default: the settings').")
    ] = None,
    traffic: Annotated[
        int, typer.Option(min=0, help="At most so many of its uploads; 0 for none.")
    ] = 10_000,
    seed: Seed = 0,
    as_json: AsJson = False,
) -> None:
    """Compare two versions on the same data, and say whether to ship the new one.

    Exits with 1 if it should not ship. Data that a version was trained on is refused (65). With a
    ledger, its last visible uploads are decided with both versions, too.

    Example: quorum models compare spam --data held-out.csv --new file:mine
    """
    from quorum.models.training.dataset import read_labelled
    from quorum.models.training.evaluation import compare as measure

    examples = read_labelled(data)
    seen = rows_seen_by(name, (old, new), examples, leave_out=leave_out_seen)
    pair = [load(name, old), load(name, new)]
    findings = run_all(pair, examples)
    both = [
        index
        for index, (first, second) in enumerate(zip(*findings, strict=True))
        if first.score is not None and second.score is not None and index not in seen
    ]
    scores = [[one[index].score for index in both] for one in findings]
    made = measured(
        lambda: measure(examples.labels[both], scores[0], scores[1], margin=margin, seed=seed)  # type: ignore[arg-type]
    )
    tried = _traffic(database, pair, policy, traffic)
    if as_json:
        document = {
            "old": pair[0].version,
            "new": pair[1].version,
            "figures": asdict(made),
            "seen": len(seen),
            "traffic": None if tried is None else {**asdict(tried), "ships": tried.ships},
        }
        typer.echo(json.dumps(document, indent=2))
    else:
        console = Console()
        table = Table("", "version", "ROC-AUC (95 %)")
        table.add_row("in use", pair[0].version, str(made.old))
        table.add_row("candidate", pair[1].version, str(made.new))
        table.add_row("difference", f"p = {made.p_value:.3f}", str(made.difference))
        console.print(table)
        console.print(f"{len(both)} examples that both scored. {made.why.capitalize()}.")
        _tell_traffic(console, tried)
    if not made.ship or (tried is not None and not tried.ships):
        raise typer.Exit(1)


def _traffic(
    database: str | None, pair: list[Detector], policy: str | None, count: int
) -> Traffic | None:
    """Try two versions on the ledger's visible uploads, if a ledger is named."""
    if count == 0 or not (database or os.environ.get("QUORUM_DATABASE")):
        return None
    from quorum.aggregator.policy.policy import load_policy
    from quorum.apps.cli.models_traffic import traffic
    from quorum.core.settings import load_settings
    from quorum.store.ledger import Ledger

    chosen = load_policy(policy or load_settings().policy)
    console = Console(stderr=True)
    with (
        Ledger(database) as ledger,
        Progress(console=console, disable=not console.is_terminal, transient=True) as progress,
    ):
        task = progress.add_task("ordinary uploads", total=count)
        return traffic(
            ledger, pair, chosen, count, lambda done: progress.update(task, completed=done)
        )


def _tell_traffic(console: Console, tried: Traffic | None) -> None:
    if tried is None:
        console.print("Not tried on ordinary uploads: name their ledger with --database.")
        return
    console.print(tried.told())
    for title in tried.titles:
        console.print(f"  would be removed: {title[:100]}", markup=False)
    if not tried.ships:
        console.print("Do not ship: it removes ordinary uploads that the version in use leaves.")
