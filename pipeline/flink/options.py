"""How a job runs on Flink. This module imports no Beam, so that the command line starts fast."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

__all__ = ["FlinkOptions", "FlinkWorkers"]


class FlinkWorkers(StrEnum):
    """Where Beam's workers run, which run our code for Flink."""

    POOL = "pool"
    """In a worker pool beside each TaskManager (`quorum worker-pool`)."""
    LOCAL = "local"
    """In the process that hands the job over: for a cluster on the same machine."""
    DOCKER = "docker"
    """In containers that the TaskManagers start; they need Docker and an image."""


@dataclass(frozen=True)
class FlinkOptions:
    """How a job runs on Flink.

    Attributes:
        master: ``HOST:PORT`` of the JobManager's REST interface.
        workers: Where Beam's workers run.
        pool: ``HOST:PORT`` of the worker pool, as a TaskManager sees it.
        job_endpoint: ``HOST:PORT`` of a job server that runs already; by default one is started.
        allow_loss: Whether to start on a cluster that keeps no checkpoints.
        job_name: Of the job on the cluster, on which there is one of a name; by default Beam's.
        detach: Whether the client ends as soon as the cluster has the job.
        finish_open: Seconds after which the job is ended: it pulls no uploads and decides the
            cases that are open. None for a job that goes on.
        command: What started the client, for a later upgrade or restart; empty to keep nothing.
    """

    master: str | None = None
    workers: FlinkWorkers = FlinkWorkers.POOL
    pool: str = "localhost:50000"
    job_endpoint: str | None = None
    allow_loss: bool = False
    job_name: str = ""
    detach: bool = False
    finish_open: float | None = None
    command: tuple[str, ...] = ()
