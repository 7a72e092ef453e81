"""Options that several verbs share, so that they read the same everywhere."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from quorum.core.logs import LogFormat, LogLevel
from quorum.pipeline.engines import Engine

__all__ = [
    "BeamArgs",
    "DeadLetters",
    "Drain",
    "DriftReference",
    "Formatted",
    "HistoryLedger",
    "Level",
    "MetricsPort",
    "PolicyName",
    "Runner",
    "SettingsFile",
    "ShadowPolicies",
]

Runner = Annotated[
    Engine | None,
    typer.Option(
        help="The engine: prism for streams on one machine (the default there), direct for "
        "bounded runs and tests (the default for files), flink, dataflow.",
        show_default=False,
    ),
]
SettingsFile = Annotated[
    str | None,
    typer.Option("--settings", help="Settings (YAML); or QUORUM_SETTINGS.", show_default=False),
]
PolicyName = Annotated[
    str | None,
    typer.Option(
        "--policy",
        help="A policy's file, or the name of one that ships (default: balanced).",
        show_default=False,
    ),
]
ShadowPolicies = Annotated[
    list[str] | None,
    typer.Option(
        "--shadow-policy",
        help="A policy that only watches: verdicts tell what it would have decided; may be "
        "repeated.",
        show_default=False,
    ),
]
HistoryLedger = Annotated[
    str | None,
    typer.Option(
        "--ledger",
        help="Ledger that `quorum record` keeps: brings back the case of a late review, and past "
        "verdicts on uploaders for policies that ask for them; for those by default "
        "QUORUM_DATABASE, else nobody has any.",
        show_default=False,
    ),
]
DeadLetters = Annotated[
    str,
    typer.Option(
        "--dead-letters", help="Topic or .jsonl file for what cannot be processed, kept whole."
    ),
]
MetricsPort = Annotated[
    int | None,
    typer.Option(
        "--metrics-port",
        help="Serve Prometheus metrics on this port of the loopback address.",
        show_default=False,
    ),
]
Drain = Annotated[
    float,
    typer.Option(
        "--drain-seconds",
        help="On SIGTERM, how long to finish what is held before the rest is given back.",
    ),
]
DriftReference = Annotated[
    Path | None,
    typer.Option(
        "--drift-reference",
        help="Tell in the metrics how scores differ from these distributions (made by "
        "`quorum policy drift --save`).",
        show_default=False,
    ),
]
Formatted = Annotated[LogFormat, typer.Option("--log-format", help="How logs are written.")]
Level = Annotated[LogLevel, typer.Option("--log-level", help="The least level that is shown.")]
BeamArgs = Annotated[
    list[str] | None,
    typer.Argument(
        help="More of Beam's own options, after `--` (--flink_master=…, --project=…).",
        show_default=False,
    ),
]
