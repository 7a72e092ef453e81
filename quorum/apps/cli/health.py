"""``quorum health``: whether a job on this machine is alive; for container health checks."""

from __future__ import annotations

import os
from typing import Annotated

import typer

from quorum.core.errors import QuorumError

__all__ = ["app"]

app = typer.Typer(rich_markup_mode=None, pretty_exceptions_enable=False)


@app.command()
def health(
    metrics_port: Annotated[
        int, typer.Option("--metrics-port", help="Where the job serves its metrics.")
    ] = int(os.environ.get("QUORUM_METRICS_PORT", "9464")),
) -> None:
    """Exit with 0 if a job serves its metrics on loopback, else with 1 and the reason.

    quorum health --metrics-port 9464
    """
    import httpx

    url = f"http://127.0.0.1:{metrics_port}/metrics"
    try:
        httpx.get(url, timeout=3.0, trust_env=False).raise_for_status()
    except httpx.HTTPError as error:
        msg = f"no job answers on {url}: {error}"
        raise QuorumError(msg) from None
    typer.echo("ok")
