"""``quorum models sample`` and ``export-labels``: reviews become training data."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Annotated

import typer

__all__ = ["export_labels", "sample"]

_Database = Annotated[
    str | None,
    typer.Option(help="The ledger; by default QUORUM_DATABASE, else sqlite:///quorum.db."),
]


def sample(
    count: Annotated[int, typer.Option(min=1, help="How many to draw, as expected.")],
    database: _Database = None,
    at_random: Annotated[float, typer.Option("--random", min=0, help="Share drawn evenly.")] = 1.0,
    uncertain: Annotated[float, typer.Option(min=0, help="Share drawn by unclear scores.")] = 1.0,
    disagreeing: Annotated[
        float, typer.Option(min=0, help="Share drawn where a shadow disagrees.")
    ] = 1.0,
) -> None:
    """Draw cases that were never in review, for people to label in the console.

    \b
    quorum models sample --count 200
    """
    from quorum.apps.console.desk.labels import Shares, draw
    from quorum.store.ledger import Ledger

    with Ledger(database) as ledger:
        drawn = draw(ledger, count, Shares(at_random, uncertain, disagreeing))
    typer.echo(f"{drawn:,} cases wait in the console's queue")


def export_labels(
    category: Annotated[str, typer.Option(help="The harm, as reviewers named it.")],
    out: Annotated[Path, typer.Option(help="The .jsonl file to write.")],
    database: _Database = None,
) -> None:
    """Write what reviewers decided as labelled examples, with weights.

    Reviews count whether they were made in the console or came by the stream of reviews.

    \b
    quorum models export-labels --category spam --out labels.jsonl
    quorum models train spam --data labels.jsonl --out mine
    """
    from quorum.apps.console.desk.labels import export
    from quorum.store.ledger import Ledger

    with Ledger(database) as ledger, out.open("w", encoding="utf-8") as file:
        count = Counter[str]()
        for line in export(ledger, category):
            file.write(line + "\n")
            count[json.loads(line)["by"]] += 1
    by = f"{count['console']:,} by the console, {count['stream']:,} by the stream"
    typer.echo(f"{count.total():,} labels in {out} ({by})")
