"""``quorum stream``: both halves of the graph in one job."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import typer

from quorum.apps.cli import options
from quorum.apps.cli.parameters import expanded
from quorum.apps.cli.verb import verb

__all__ = ["app"]

app = verb()


@dataclass(frozen=True)
class StreamAddresses:
    """What ``quorum stream`` reads and writes."""

    uploads: Annotated[str, typer.Option(help="Subscription or .jsonl file of uploads.")]
    verdicts: Annotated[str, typer.Option(help="Topic or .jsonl file for verdicts.")]
    dead_letters: options.DeadLetters
    predictions: Annotated[
        str | None,
        typer.Option(help="Topic or .jsonl file to publish predictions to.", show_default=False),
    ] = None
    other_predictions: Annotated[
        str | None,
        typer.Option(
            help="Subscription or file of predictions by detectors that run elsewhere.",
            show_default=False,
        ),
    ] = None
    reviews: options.Reviews = None


@app.command()
@expanded
def stream(
    streams: StreamAddresses,
    policies: options.PolicyOptions,
    decision: options.DecisionOptions,
    job: options.JobOptions,
    metrics: options.MetricsOptions,
    logs: options.LogOptions,
) -> None:
    """Moderate a stream: uploads in, verdicts out, nothing lost.

    On files:

    \b
    quorum stream --uploads in.jsonl --verdicts out.jsonl --dead-letters dead.jsonl

    On Pub/Sub (see `quorum topics create`):

    \b
    quorum stream --uploads projects/P/subscriptions/quorum-uploads-stream
      --verdicts projects/P/topics/quorum-verdicts
      --predictions projects/P/topics/quorum-predictions
      --dead-letters projects/P/topics/quorum-dead-letters
    """
    logs.configure()
    from quorum.apps.cli.running import (
        case_options,
        ensemble_of,
        open_admission,
        open_sources,
        patience_of,
        run,
    )
    from quorum.pipeline import graph
    from quorum.pipeline.streams.open import sink

    settings, policy, shadows = policies.load()
    live = policies.live(settings, policy)
    ensemble = ensemble_of(settings, (policy, *shadows))
    cases = case_options(policy, shadows, decision, live)
    engine, opened = open_sources(
        job.runner,
        {
            "uploads": streams.uploads,
            "predictions": streams.other_predictions,
            "reviews": streams.reviews,
        },
        sinks=(streams.verdicts, streams.predictions),
        verb="stream",
        dead_letters=streams.dead_letters,
        verified=bool(settings.publishers),
    )
    admission = open_admission(
        settings,
        {
            "uploads": streams.uploads,
            "predictions": streams.other_predictions,
            "reviews": streams.reviews,
            "policies": policies.subscription,
        },
        {
            "verdicts": streams.verdicts,
            "predictions": streams.predictions,
            "dead-letters": streams.dead_letters,
        },
        [each.name for each in ensemble.detectors],
    )
    origin = "/quorum/stream"
    published = streams.predictions
    run(
        lambda pipeline: graph.stream(
            pipeline,
            uploads=opened["uploads"],
            verdicts=sink(streams.verdicts, origin=origin),
            dead_letters=sink(streams.dead_letters, origin=origin),
            predictions=sink(published, origin=origin) if published else None,
            ensemble=ensemble,
            policy=policy,
            options=cases,
            admission=admission,
            others=[opened[name] for name in ("predictions", "reviews") if name in opened],
        ),
        engine,
        job,
        opened,
        metrics=metrics,
        verb="stream",
        ensemble=ensemble,
        patience=patience_of(policy, live),
        live=live,
    )
