"""``quorum worker-pool``: runs our code for a TaskManager of Flink on the same machine."""

from __future__ import annotations

import signal
import threading
from typing import Annotated

import typer

from quorum.apps.cli import options
from quorum.apps.cli.parameters import expanded
from quorum.apps.cli.verb import verb

__all__ = ["app"]

app = verb()


@app.command("worker-pool")
@expanded
def worker_pool(
    logs: options.LogOptions,
    port: Annotated[int, typer.Option(help="Port of the loopback address; 0 for a free one.")] = (
        50000
    ),
) -> None:
    """Run Beam's workers for the TaskManager beside it, until it is told to end.

    It has the environment that detectors, streams and ledger need (QUORUM_…,
    GOOGLE_APPLICATION_CREDENTIALS), listens on loopback alone, and runs the code of whoever reaches
    its port: keep other users off the machine.

    \b
    quorum worker-pool --port 50000
    """
    logs.configure()
    from quorum.models.supervision.shared import close_supervisors
    from quorum.pipeline.worker_pool import worker_pool as serve

    ended = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: ended.set())
    with serve(port) as address:
        typer.echo(f"workers for Flink at {address}", err=True)
        ended.wait()
    close_supervisors()
