"""``quorum stream``: both halves of the graph in one job."""

from __future__ import annotations

from typing import Annotated

import typer

from quorum.apps.cli import options
from quorum.core.logs import configure_logs

__all__ = ["app"]

app = typer.Typer(rich_markup_mode=None, pretty_exceptions_enable=False)


@app.command()
def stream(
    uploads: Annotated[str, typer.Option(help="Subscription or .jsonl file of uploads.")],
    verdicts: Annotated[str, typer.Option(help="Topic or .jsonl file for verdicts.")],
    dead_letters: options.DeadLetters,
    predictions: Annotated[
        str | None,
        typer.Option(help="Topic or .jsonl file to publish predictions to.", show_default=False),
    ] = None,
    other_predictions: Annotated[
        str | None,
        typer.Option(
            help="Subscription or file of predictions by detectors that run elsewhere.",
            show_default=False,
        ),
    ] = None,
    reviews: Annotated[
        str | None,
        typer.Option(help="Subscription or file of reviewers' decisions.", show_default=False),
    ] = None,
    policy: options.PolicyName = None,
    shadow_policy: options.ShadowPolicies = None,
    ledger: options.HistoryLedger = None,
    drift_reference: options.DriftReference = None,
    settings: options.SettingsFile = None,
    runner: options.Runner = None,
    metrics_port: options.MetricsPort = None,
    drain_seconds: options.Drain = 20.0,
    log_format: options.Formatted = "text",
    log_level: options.Level = "info",
    beam_args: options.BeamArgs = None,
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
    configure_logs(log_format, log_level)
    from quorum.aggregator.policy.policy import load_policy
    from quorum.apps.cli.running import case_options, open_sources, run
    from quorum.core.settings import load_settings
    from quorum.models.configured import choose_detectors
    from quorum.pipeline import graph
    from quorum.pipeline.streams import sink

    chosen = load_settings(settings)
    rules = load_policy(policy or chosen.policy)
    ensemble = choose_detectors(chosen)
    beside = case_options(rules, shadow_policy, ledger, drift_reference)
    engine, opened = open_sources(
        runner,
        {"uploads": uploads, "predictions": other_predictions, "reviews": reviews},
        sinks=(verdicts, predictions, dead_letters),
    )
    origin = "/quorum/stream"
    run(
        lambda pipeline: graph.stream(
            pipeline,
            uploads=opened["uploads"],
            verdicts=sink(verdicts, origin=origin),
            dead_letters=sink(dead_letters, origin=origin),
            predictions=sink(predictions, origin=origin) if predictions else None,
            members=ensemble,
            policy=rules,
            options=beside,
            cascade=chosen.cascade,
            media=chosen.media,
            others=[opened[name] for name in ("predictions", "reviews") if name in opened],
        ),
        engine,
        sources=opened.values(),
        ensemble=ensemble,
        extra=beam_args or (),
        metrics_port=metrics_port,
        drain_seconds=drain_seconds,
    )
