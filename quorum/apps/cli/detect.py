"""``quorum detect``: the first half of the graph, apart."""

from __future__ import annotations

import logging
from typing import Annotated

import typer

from quorum.apps.cli import options
from quorum.core.logs import configure_logs

__all__ = ["app"]

_log = logging.getLogger(__name__)

app = typer.Typer(rich_markup_mode=None, pretty_exceptions_enable=False)


@app.command()
def detect(
    uploads: Annotated[str, typer.Option(help="Subscription or .jsonl file of uploads.")],
    predictions: Annotated[str, typer.Option(help="Topic or .jsonl file for predictions.")],
    dead_letters: options.DeadLetters,
    settings: options.SettingsFile = None,
    runner: options.Runner = None,
    metrics_port: options.MetricsPort = None,
    drain_seconds: options.Drain = 20.0,
    log_format: options.Formatted = "text",
    log_level: options.Level = "info",
    beam_args: options.BeamArgs = None,
) -> None:
    """Score uploads with the detectors; an upload is acknowledged with its predictions.

    Several of these may run, each with other detectors in its settings:

    \b
    quorum detect --uploads projects/P/subscriptions/quorum-uploads-detect
      --predictions projects/P/topics/quorum-predictions
      --dead-letters projects/P/topics/quorum-dead-letters
    """
    configure_logs(log_format, log_level)
    from quorum.apps.cli.running import open_sources, run
    from quorum.core.settings import load_settings
    from quorum.models.configured import choose_detectors
    from quorum.pipeline import graph
    from quorum.pipeline.streams import sink

    chosen = load_settings(settings)
    if chosen.cascade:
        _log.warning("all detectors are asked: a cascade needs the policy, as in quorum stream")
    ensemble = choose_detectors(chosen)
    engine, opened = open_sources(runner, {"uploads": uploads}, sinks=(predictions, dead_letters))
    origin = "/quorum/detect"
    run(
        lambda pipeline: graph.detect(
            pipeline,
            uploads=opened["uploads"],
            predictions=sink(predictions, origin=origin),
            dead_letters=sink(dead_letters, origin=origin),
            members=ensemble,
            media=chosen.media,
        ),
        engine,
        sources=opened.values(),
        ensemble=ensemble,
        extra=beam_args or (),
        metrics_port=metrics_port,
        drain_seconds=drain_seconds,
    )
