"""``quorum health``: whether a job on this machine is fit for work; for probes and people."""

from __future__ import annotations

import json
import os
from typing import Annotated, Any

import typer

from quorum.apps.cli.verb import verb
from quorum.core.errors import QuorumError

__all__ = ["app"]

app = verb()


@app.command()
def health(
    metrics_port: Annotated[
        int, typer.Option("--metrics-port", help="Where the job serves its metrics and health.")
    ] = int(os.environ.get("QUORUM_METRICS_PORT", "9464")),
    metrics_host: Annotated[
        str, typer.Option("--metrics-host", help="The address of that port.")
    ] = "127.0.0.1",
    live: Annotated[
        bool,
        typer.Option(
            "--live", help="Fail only where a restart helps: for a liveness probe that restarts."
        ),
    ] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the job's answer as JSON on standard output.")
    ] = False,
) -> None:
    """Exit with 0 if the job on this machine is fit for work, else with 1 and the reasons.

    quorum health --metrics-port 9464
    """
    import httpx

    host = f"[{metrics_host}]" if ":" in metrics_host else metrics_host
    url = f"http://{host}:{metrics_port}/{'live' if live else 'ready'}"
    try:
        answer = httpx.get(url, timeout=3.0, trust_env=False)
        if answer.status_code not in (200, 503):
            answer.raise_for_status()
        told: dict[str, Any] = answer.json()
    except (httpx.HTTPError, ValueError) as error:
        msg = f"no job answers on {url}: {error}"
        raise QuorumError(msg) from None
    if as_json:
        typer.echo(json.dumps(told))
    if answer.status_code != 200:
        problems = told.get("problems", {})
        reasons = "; ".join(f"{name}: {reason}" for name, reason in problems.items())
        msg = f"{told.get('status', 'not ready')}: {reasons}"
        raise QuorumError(msg)
    if not as_json:
        typer.echo("ok")
