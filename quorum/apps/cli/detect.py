"""``quorum detect``: the first half of the graph, apart."""

from __future__ import annotations

import logging
from typing import Annotated

import typer

from quorum.apps.cli import options
from quorum.apps.cli.parameters import expanded
from quorum.apps.cli.verb import verb

__all__ = ["app"]

_log = logging.getLogger(__name__)

app = verb()


@app.command()
@expanded
def detect(
    uploads: Annotated[str, typer.Option(help="Subscription or .jsonl file of uploads.")],
    predictions: Annotated[str, typer.Option(help="Topic or .jsonl file for predictions.")],
    dead_letters: options.DeadLetters,
    job: options.JobOptions,
    metrics: options.MetricsOptions,
    logs: options.LogOptions,
    settings: options.SettingsFile = None,
) -> None:
    """Score uploads with the detectors; ack an upload once its predictions are published.

    Several of these may run, each with other detectors in its settings:

    \b
    quorum detect --uploads projects/P/subscriptions/quorum-uploads-detect
      --predictions projects/P/topics/quorum-predictions
      --dead-letters projects/P/topics/quorum-dead-letters
    """
    logs.configure()
    from quorum.apps.cli.running import ensemble_of, open_admission, open_sources, run
    from quorum.core.settings import load_settings
    from quorum.pipeline import graph
    from quorum.pipeline.streams.open import sink

    chosen = load_settings(settings)
    if chosen.cascade:
        _log.warning("every detector runs: a cascade needs the policy, as in quorum stream")
    ensemble = ensemble_of(chosen.model_copy(update={"cascade": False}), ())
    engine, opened = open_sources(
        job.runner,
        {"uploads": uploads},
        sinks=(predictions,),
        verb="detect",
        dead_letters=dead_letters,
        verified=bool(chosen.publishers),
    )
    admission = open_admission(
        chosen,
        {"uploads": uploads},
        {"predictions": predictions, "dead-letters": dead_letters},
        [each.name for each in ensemble.detectors],
    )
    origin = "/quorum/detect"
    run(
        lambda pipeline: graph.detect(
            pipeline,
            uploads=opened["uploads"],
            predictions=sink(predictions, origin=origin),
            dead_letters=sink(dead_letters, origin=origin),
            ensemble=ensemble,
            admission=admission,
        ),
        engine,
        job,
        opened,
        metrics=metrics,
        verb="detect",
        ensemble=ensemble,
        patience={
            "uploads": chosen.media.timeout
            + sum(one.settings.timeout for one in ensemble.detectors)
        },
    )
