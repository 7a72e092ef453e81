"""``quorum decide``: the second half of the graph, apart."""

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
class DecideAddresses:
    """What ``quorum decide`` reads and writes."""

    uploads: Annotated[str, typer.Option(help="Subscription or .jsonl file of uploads.")]
    predictions: Annotated[str, typer.Option(help="Subscription or .jsonl file of predictions.")]
    verdicts: Annotated[str, typer.Option(help="Topic or .jsonl file for verdicts.")]
    dead_letters: options.DeadLetters
    reviews: options.Reviews = None


@app.command()
@expanded
def decide(
    streams: DecideAddresses,
    policies: options.PolicyOptions,
    decision: options.DecisionOptions,
    job: options.JobOptions,
    metrics: options.MetricsOptions,
    logs: options.LogOptions,
) -> None:
    """Decide uploads from the predictions on a stream, whoever published them.

    \b
    quorum decide --uploads projects/P/subscriptions/quorum-uploads-decide
    --predictions projects/P/subscriptions/quorum-predictions-decide
    --reviews projects/P/subscriptions/quorum-reviews-decide
    --verdicts projects/P/topics/quorum-verdicts
    --dead-letters projects/P/topics/quorum-dead-letters
    """
    logs.configure()
    from quorum.apps.cli.running import case_options, open_admission, open_sources, patience_of, run
    from quorum.pipeline import graph
    from quorum.pipeline.streams.open import sink

    settings, policy, shadows = policies.load()
    live = policies.live(settings, policy, scores=False)
    cases = case_options(policy, shadows, decision, live)
    engine, opened = open_sources(
        job.runner,
        {
            "uploads": streams.uploads,
            "predictions": streams.predictions,
            "reviews": streams.reviews,
        },
        sinks=(streams.verdicts,),
        verb="decide",
        dead_letters=streams.dead_letters,
        verified=bool(settings.publishers),
    )
    admission = open_admission(
        settings,
        {
            "uploads": streams.uploads,
            "predictions": streams.predictions,
            "reviews": streams.reviews,
            "policies": policies.subscription,
        },
        {"verdicts": streams.verdicts, "dead-letters": streams.dead_letters},
    )
    origin = "/quorum/decide"
    run(
        lambda pipeline: graph.decide(
            pipeline,
            sources=tuple(opened.values()),
            verdicts=sink(streams.verdicts, origin=origin),
            dead_letters=sink(streams.dead_letters, origin=origin),
            policy=policy,
            options=cases,
            admission=admission,
        ),
        engine,
        job,
        opened,
        metrics=metrics,
        verb="decide",
        patience=patience_of(policy, live),
        live=live,
    )
