"""``quorum topics``: create the topics and subscriptions that the jobs share."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

__all__ = ["app"]

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    help="The Pub/Sub topics and subscriptions that producers, detectors and deciders share.",
)


class Halves(StrEnum):
    """Which jobs the subscriptions are for."""

    FUSED = "fused"
    APART = "apart"
    BOTH = "both"


@app.callback()
def _topics() -> None:
    pass


@app.command()
def create(
    project: Annotated[str, typer.Option(help="The Google Cloud project.")],
    prefix: Annotated[str, typer.Option(help="Prefix of each name.")] = "quorum",
    halves: Annotated[
        Halves,
        typer.Option(
            "--for",
            help="Subscriptions for `quorum stream` (fused), for `quorum detect` and `quorum "
            "decide` (apart), or both. A subscription that nobody reads accumulates messages.",
        ),
    ] = Halves.FUSED,
    record: Annotated[
        bool, typer.Option("--record", help="Also subscriptions for `quorum record`.")
    ] = False,
    dry_run: Annotated[bool, typer.Option(help="Only show what would be created.")] = False,
) -> None:
    """Create the topics and subscriptions that are absent; existing ones are unchanged.

    Each subscription has a dead-letter policy, so that a message which no worker survives ends
    whole in the dead-letters topic, and a retry policy, so that it is not tried in a tight loop.

    \b
    quorum topics create --project my-project --for fused
    """
    from quorum.pipeline.streams.topics import create_topics, planned

    plan = planned(
        project,
        prefix,
        fused=halves != Halves.APART,
        apart=halves != Halves.FUSED,
        record=record,
    )
    made = set() if dry_run else create_topics(plan)
    # Plain lines, whatever the terminal's width: these names are copied.
    for topic in plan.topics:
        typer.echo(f"topic         {topic}  ({_state(topic, made, dry_run)})")
    for subscription in plan.subscriptions:
        state = _state(subscription.path, made, dry_run)
        typer.echo(f"subscription  {subscription.path}  ({state}, for {subscription.reader})")
    if not dry_run:
        typer.echo(
            "\nOn Google Cloud, let Pub/Sub's own service account publish to the dead-letters "
            "topic and\nsubscribe to these subscriptions, or the dead-letter policy does nothing."
        )


def _state(name: str, made: set[str], dry_run: bool) -> str:
    if dry_run:
        return "would be made"
    return "made" if name in made else "was there"
