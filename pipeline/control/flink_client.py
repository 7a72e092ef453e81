"""The client of a job on Flink: hands it over, then follows it, and ends as it ends."""

from __future__ import annotations

import logging
import threading
from collections.abc import Sequence
from typing import Any

from quorum import __version__
from quorum.core import health
from quorum.core.errors import ConfigurationError, QuorumError
from quorum.pipeline.control.flink_jobs import FlinkJobs
from quorum.pipeline.control.launching import plain
from quorum.pipeline.control.records import Command, StartedJob, keep, recorded
from quorum.pipeline.control.status import JobService
from quorum.pipeline.control.upgrade import await_ended
from quorum.pipeline.control.watch import JobWatch, await_handed_over, follow
from quorum.pipeline.flink.cluster import FlinkCluster
from quorum.pipeline.flink.options import FlinkOptions
from quorum.pipeline.flink.session import flink_master

__all__ = ["check_state", "run_on_flink"]

_log = logging.getLogger(__name__)

_END_SECONDS = 120.0
_STEP_SECONDS = 1.0


def check_state(flink: FlinkOptions, extra: Sequence[str]) -> None:
    """Refuse to begin without the state that a job of this name left when it was stopped.

    Its open cases were acknowledged, and nobody would deliver them again.

    Args:
        flink: How the job runs.
        extra: More options in Beam's own words.

    Raises:
        ConfigurationError: If it left one, and the loss is not accepted.
    """
    name = flink.job_name
    before = recorded(FlinkCluster.at(flink_master(flink, extra)).url, name)
    if before is None or not before.state or flink.allow_loss or plain(extra) != tuple(extra):
        return
    msg = (
        f"{name} was stopped with its state in {before.state}, and this command begins without: "
        "its open cases would get no verdict. Begin with them by `quorum jobs resume "
        f"{name}`, or by this command and the state (after `--`: --savepoint_path={before.state}); "
        "or accept the loss with --flink-allow-loss"
    )
    raise ConfigurationError(msg)


def run_on_flink(
    result: Any, flink: FlinkOptions, extra: Sequence[str], stop: threading.Event
) -> str | None:
    """See a job on Flink through: until it ends, or this client is told to.

    Args:
        result: Beam's ``PipelineResult`` of the job that was handed over.
        flink: How it runs.
        extra: More options in Beam's own words.
        stop: Ends the client; the job goes on.

    Returns:
        The job's id, if the client does not wait for it.

    Raises:
        QuorumError: If the cluster does not take it, or it ends otherwise than it was asked to.
    """
    cluster = FlinkCluster.at(flink_master(flink, extra))
    service = FlinkJobs(cluster)
    job = await_handed_over(result, service, flink.job_name, stop)
    if job is None:
        return None
    if flink.command:
        command = Command.here(plain(flink.command))
        keep(StartedJob(cluster.url, job.name, job.id, command, __version__))
    _log.info("running on flink, as job %s of %s", job.id, cluster.url)
    if flink.detach:
        return job.id
    watch = JobWatch(service, job)
    if flink.finish_open is not None:
        _finish(service, watch, flink.finish_open, stop)
        return None
    follow(watch, stop)
    return None


def _finish(service: JobService, watch: JobWatch, seconds: float, stop: threading.Event) -> None:
    """Wait until the open cases of a job that pulls no uploads are decided, and end it.

    Every case ends by its deadline; a restart begins the time anew, since timers wait for it.
    """
    job = watch.job
    restarts = None
    passed = 0.0
    _log.info("no uploads are pulled; the open cases are decided within %.0f s", seconds)
    with watch.registered():
        while passed < seconds:
            if watch.look().ended:
                msg = f"the job {job.id} ended before its cases did"
                raise QuorumError(msg)
            health.problems()
            found = watch.status.restarts if watch.status else None
            if found != restarts:
                restarts, passed = found, 0.0
            if stop.wait(_STEP_SECONDS):
                msg = (
                    f"asked to stop before the open cases were decided; the job {job.id} runs on, "
                    "and pulls no uploads: `quorum jobs drain` goes on with it, `quorum jobs "
                    "upgrade` has it pull again"
                )
                raise QuorumError(msg)
            passed += _STEP_SECONDS
    # With its state kept, so that the last messages are acknowledged.
    service.stop(job.id, seconds=_END_SECONDS)
    await_ended(service, job.id, _END_SECONDS)
    _log.info("the open cases are decided, and the job %s has ended", job.id)
