"""``quorum topics``: create the topics, and Pub/Sub's subscriptions, that the jobs share."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from quorum.apps.cli.verb import verb

__all__ = ["Halves", "app", "kafka_readers"]

app = verb("The topics and subscriptions that producers, detectors and deciders share.")


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
    project: Annotated[
        str | None, typer.Option(help="The Google Cloud project.", show_default=False)
    ] = None,
    kafka: Annotated[
        str | None,
        typer.Option(
            metavar="BROKERS",
            help="Instead of a project: HOST:PORT[,HOST:PORT] of Kafka.",
            show_default=False,
        ),
    ] = None,
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
    partitions: Annotated[int, typer.Option(min=1, help="Partitions of each topic of Kafka.")] = 12,
    replication: Annotated[
        int, typer.Option(min=1, help="Brokers that keep each topic of Kafka.")
    ] = 3,
    replayable: Annotated[
        bool,
        typer.Option(
            "--replayable",
            help="Let the subscriptions of jobs retain what was acknowledged, for seven days: what "
            "a lost state had acknowledged can then be replayed (`quorum jobs restore`).",
        ),
    ] = False,
    dry_run: Annotated[bool, typer.Option(help="Only show what would be created.")] = False,
) -> None:
    """Create the topics and subscriptions that are absent; existing ones are unchanged.

    Each subscription has a dead-letter policy, so that a message which no worker survives ends
    whole in the dead-letters topic, and a retry policy, so that it is not tried in a tight loop.

    Of Kafka it makes topics alone: a consumer group is there once it reads.

    \b
    quorum topics create --project my-project --for fused
    quorum topics create --kafka broker-1:9092,broker-2:9092 --partitions 24
    """
    if (project is None) is (kafka is None):
        msg = "give one of --project PROJECT, for Pub/Sub, and --kafka HOST:PORT, for Kafka"
        raise typer.BadParameter(msg)
    if kafka is not None:
        _create_in_kafka(kafka, prefix, halves, record, partitions, replication, dry_run)
        return
    from quorum.pipeline.streams.topics import create_topics, planned

    plan = planned(
        str(project),
        prefix,
        fused=halves != Halves.APART,
        apart=halves != Halves.FUSED,
        record=record,
        replayable=replayable,
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


def _create_in_kafka(
    brokers: str,
    prefix: str,
    halves: Halves,
    record: bool,
    partitions: int,
    replication: int,
    dry_run: bool,
) -> None:
    from quorum.pipeline.streams.kafka_admin import KafkaCluster, planned_kafka
    from quorum.pipeline.streams.topics import TOPICS

    plan = planned_kafka(brokers, prefix, TOPICS, kafka_readers(halves, record=record))
    made = set() if dry_run else KafkaCluster(plan.brokers).create(plan, partitions, replication)
    for topic in plan.topics:
        typer.echo(f"topic  {plan.address(topic)}  ({_state(topic, made, dry_run)})")
    for topic, groups in plan.groups.items():
        for group in groups:
            typer.echo(f"group  {group}  (reads {topic}; there once it does)")


def kafka_readers(halves: Halves, *, record: bool) -> tuple[str, ...]:
    """The jobs that read Kafka's topics, by the options of a command."""
    return (
        *(("stream",) if halves != Halves.APART else ()),
        *(("detect", "decide") if halves != Halves.FUSED else ()),
        *(("record",) if record else ()),
    )


def _state(name: str, made: set[str], dry_run: bool) -> str:
    if dry_run:
        return "would be made"
    return "made" if name in made else "was there"
