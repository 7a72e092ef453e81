"""``quorum decide``: the second half of the graph, apart."""

from __future__ import annotations

from typing import Annotated

import typer

from quorum.apps.cli import options
from quorum.core.logs import configure_logs

__all__ = ["app"]

app = typer.Typer(rich_markup_mode=None, pretty_exceptions_enable=False)


@app.command()
def decide(
    uploads: Annotated[str, typer.Option(help="Subscription or .jsonl file of uploads.")],
    predictions: Annotated[str, typer.Option(help="Subscription or .jsonl file of predictions.")],
    verdicts: Annotated[str, typer.Option(help="Topic or .jsonl file for verdicts.")],
    dead_letters: options.DeadLetters,
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
    """Decide on uploads from the predictions on their stream, whoever published them.

    \b
    quorum decide --uploads projects/P/subscriptions/quorum-uploads-decide
    --predictions projects/P/subscriptions/quorum-predictions-decide
    --reviews projects/P/subscriptions/quorum-reviews-decide
    --verdicts projects/P/topics/quorum-verdicts
    --dead-letters projects/P/topics/quorum-dead-letters
    """
    configure_logs(log_format, log_level)
    from quorum.aggregator.policy.policy import load_policy
    from quorum.apps.cli.running import case_options, open_sources, run
    from quorum.core.settings import load_settings
    from quorum.pipeline import graph
    from quorum.pipeline.streams import sink

    rules = load_policy(policy or load_settings(settings).policy)
    beside = case_options(rules, shadow_policy, ledger, drift_reference)
    engine, opened = open_sources(
        runner,
        {"uploads": uploads, "predictions": predictions, "reviews": reviews},
        sinks=(verdicts, dead_letters),
    )
    origin = "/quorum/decide"
    run(
        lambda pipeline: graph.decide(
            pipeline,
            sources=tuple(opened.values()),
            verdicts=sink(verdicts, origin=origin),
            dead_letters=sink(dead_letters, origin=origin),
            policy=rules,
            options=beside,
        ),
        engine,
        sources=opened.values(),
        extra=beam_args or (),
        metrics_port=metrics_port,
        drain_seconds=drain_seconds,
    )
