"""``quorum doctor``: what of the settings this machine lacks, and what then does not work."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from quorum.apps.cli import options
from quorum.apps.cli.topics import Halves, kafka_readers
from quorum.apps.cli.verb import verb

if TYPE_CHECKING:
    from quorum.apps.doctor.findings import Finding

__all__ = ["app"]

app = verb()


@app.command()
def doctor(
    settings: options.SettingsFile = None,
    policy: options.PolicyName = None,
    database: Annotated[
        str | None,
        typer.Option(help="Ledger URL (default: QUORUM_DATABASE, else none).", show_default=False),
    ] = None,
    project: Annotated[
        str | None,
        typer.Option(help="Google Cloud project whose topics and subscriptions are looked for."),
    ] = None,
    kafka: Annotated[
        str | None,
        typer.Option(
            metavar="BROKERS",
            help="HOST:PORT[,HOST:PORT] of Kafka, whose topics and groups are looked for.",
            show_default=False,
        ),
    ] = None,
    prefix: Annotated[str, typer.Option(help="Prefix of their names.")] = "quorum",
    halves: Annotated[
        Halves, typer.Option("--for", help="Subscriptions of which jobs: fused, apart or both.")
    ] = Halves.FUSED,
    record: Annotated[
        bool, typer.Option("--record", help="Also the subscriptions of `quorum record`.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Look for all that the settings need: what is missing, and what then does not work.

    Exits with 1 if something is missing that the settings need. What they do not need is told as
    absent. Nothing is changed, published or downloaded.

    \b
    quorum doctor
    quorum doctor --settings quorum.yaml --project my-project --json
    quorum doctor --kafka broker-1:9092
    """
    from quorum.core.logs import configure_logs

    configure_logs("text", "error")
    found = []
    for one in (
        *_examined(settings, policy, database, project, prefix, halves, record=record),
        *_of_kafka(kafka, prefix, halves, record=record),
    ):
        found.append(one)
        if not as_json:
            _print(one)
    counts = Counter(one.state.value for one in found)
    if as_json:
        ready = not counts["missing"]
        document = {"ready": ready, "findings": [asdict(one) for one in found]}
        typer.echo(json.dumps(document, indent=2))
    else:
        typer.echo(f"\n{counts['ok']} ok, {counts['absent']} absent, {counts['missing']} missing")
    if counts["missing"]:
        raise typer.Exit(1)


def _examined(
    settings: str | None,
    policy: str | None,
    database: str | None,
    project: str | None,
    prefix: str,
    halves: Halves,
    *,
    record: bool,
) -> Iterator[Finding]:
    from quorum.apps.doctor.deployment import deployment
    from quorum.apps.doctor.machine import machine

    yield from machine(
        streams=project is not None, broker=bool(os.environ.get("PUBSUB_EMULATOR_HOST"))
    )
    yield from deployment(settings, policy, database)
    if project is None:
        return
    from quorum.apps.doctor.streams import streams
    from quorum.pipeline.streams.topics import planned

    plan = planned(
        project,
        prefix,
        fused=halves != Halves.APART,
        apart=halves != Halves.FUSED,
        record=record,
    )
    options_ = f" --prefix {prefix}" if prefix != "quorum" else ""
    options_ += f" --for {halves.value}" if halves != Halves.FUSED else ""
    options_ += " --record" if record else ""
    yield from streams(plan, f"quorum topics create --project {project}{options_}")


def _of_kafka(
    brokers: str | None, prefix: str, halves: Halves, *, record: bool
) -> Iterator[Finding]:
    if brokers is None:
        return
    from quorum.apps.doctor.kafka import kafka
    from quorum.pipeline.streams.kafka_admin import planned_kafka
    from quorum.pipeline.streams.topics import TOPICS

    plan = planned_kafka(brokers, prefix, TOPICS, kafka_readers(halves, record=record))
    options_ = f" --prefix {prefix}" if prefix != "quorum" else ""
    yield from kafka(plan, f"quorum topics create --kafka {plan.brokers}{options_}")


def _print(one: Finding) -> None:
    typer.echo(f"{one.state.value:<8} {one.name}: {one.found}")
    if one.without:
        typer.echo(f"         without it: {one.without}")
    if one.remedy:
        typer.echo(f"         to do: {one.remedy}")
