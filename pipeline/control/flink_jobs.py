"""Jobs on a Flink cluster, by its REST interface.

The interface is described at
https://nightlies.apache.org/flink/flink-docs-release-1.19/docs/ops/rest_api/.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

from quorum.core.errors import QuorumError
from quorum.pipeline.control.status import (
    Checkpoint,
    JobState,
    JobStatus,
    JobSummary,
    NoSuchJob,
    Restarts,
    moment,
    patiently,
)
from quorum.pipeline.flink.cluster import FlinkCluster, NotThere, one_line

__all__ = ["FlinkJobs"]

_STATES = {
    "INITIALIZING": JobState.STARTING,
    "CREATED": JobState.STARTING,
    "RECONCILING": JobState.STARTING,
    "RUNNING": JobState.RUNNING,
    "RESTARTING": JobState.RESTARTING,
    "FAILING": JobState.RESTARTING,
    "SUSPENDED": JobState.RESTARTING,
    "CANCELLING": JobState.STOPPING,
    "CANCELED": JobState.CANCELLED,
    "FINISHED": JobState.FINISHED,
    "FAILED": JobState.FAILED,
}

_HOUR = timedelta(hours=1)

#: As many failures as are asked for; Flink keeps 16 unless web.exception-history-size says more.
_FAILURES = 100

_POLL_SECONDS = 0.5

#: What the step is called that keeps the cases; it reads uploads, predictions and reviews.
_DECIDING = "Decide"


class FlinkJobs:
    """Jobs on a Flink cluster; see ``JobService``.

    Args:
        cluster: The cluster.
    """

    def __init__(self, cluster: FlinkCluster) -> None:
        self.cluster = cluster
        self.place = cluster.url

    def jobs(self) -> list[JobSummary]:
        """See JobService."""
        newest = sorted(self.cluster.jobs(), key=lambda one: one.get("start-time", 0), reverse=True)
        return [_summary(one) for one in newest]

    def status(self, job: str) -> JobStatus:
        """See JobService."""
        try:
            told = self.cluster.get(f"/jobs/{job}")
        except NotThere:
            raise NoSuchJob(self._unknown(job)) from None
        failures = self._part(f"/jobs/{job}/exceptions?maxExceptions={_FAILURES}", {})
        checkpoints = self._part(f"/jobs/{job}/checkpoints", {})
        every = self._checkpoint_seconds(job)
        summary = _summary(told)
        throughput = self._throughput(job, told) if summary.state is JobState.RUNNING else None
        total = None if summary.state.ended else self._restarts_in_all(job)
        now = moment(told.get("now")) or datetime.now(UTC)
        latest = checkpoints.get("latest") or {}
        completed, failed = latest.get("completed"), latest.get("failed")
        error, error_at = _last_error(failures)
        failure = ""
        if failed and _when(failed) > _when(completed):
            failure = str(failed.get("failure_message") or "the checkpoint failed")
        at = moment(_when(completed))
        return JobStatus(
            summary,
            restarts=_restarts(failures, total, summary.started, now),
            checkpoint=Checkpoint(
                at,
                int(completed.get("state_size") or 0),
                _path(completed),
            )
            if completed and at
            else None,
            checkpoint_every=every,
            checkpoint_error=one_line(failure) if failure else "",
            throughput=throughput,
            error=error,
            error_at=error_at,
            began_from=_path(latest.get("restored")),
        )

    def stop(self, job: str, *, seconds: float = 600.0) -> str:
        """Stop a job with a savepoint, where the cluster's configuration says; see JobService."""
        try:
            trigger = self.cluster.ask("POST", f"/jobs/{job}/stop", {"drain": False})["request-id"]
        except NotThere:
            raise NoSuchJob(self._unknown(job)) from None
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            told = patiently(
                partial(self.cluster.get, f"/jobs/{job}/savepoints/{trigger}"), seconds
            )
            if (told.get("status") or {}).get("id") == "COMPLETED":
                return self._savepoint(told.get("operation") or {})
            time.sleep(_POLL_SECONDS)
        msg = f"the savepoint of job {job} was not ready after {seconds:.0f} s; the job runs on"
        raise QuorumError(msg)

    @staticmethod
    def _savepoint(operation: Mapping[str, Any]) -> str:
        if location := operation.get("location"):
            return str(location)
        cause = (operation.get("failure-cause") or {}).get("stack-trace", "")
        msg = f"no savepoint was taken, and the job runs on: {one_line(str(cause)) or 'no reason'}"
        raise QuorumError(msg)

    def cancel(self, job: str) -> None:
        """See JobService."""
        try:
            self.cluster.ask("PATCH", f"/jobs/{job}?mode=cancel")
        except NotThere:
            raise NoSuchJob(self._unknown(job)) from None

    def _unknown(self, job: str) -> str:
        return (
            f"the cluster at {self.cluster.url} knows no job {job}: its JobManager was restarted "
            "without high availability, or the job ended long ago; `quorum jobs resume` starts it "
            "from its last checkpoint"
        )

    def _part(self, path: str, otherwise: Any) -> Any:
        """What is told of a job; one that starts, or makes no checkpoints, lacks some parts."""
        try:
            return self.cluster.get(path)
        except NotThere:
            return otherwise

    def _checkpoint_seconds(self, job: str) -> float | None:
        interval = self._part(f"/jobs/{job}/checkpoints/config", {}).get("interval")
        # Flink tells a job without checkpoints by the greatest number.
        return interval / 1000 if interval and interval < 2**62 else None

    def _restarts_in_all(self, job: str) -> int | None:
        told = self._part(f"/jobs/{job}/metrics?get=numRestarts", ())
        found = next((one.get("value") for one in told if one.get("id") == "numRestarts"), None)
        return int(float(found)) if found is not None else None

    def _throughput(self, job: str, told: Mapping[str, Any]) -> float | None:
        deciding = next(
            (one for one in told.get("vertices", ()) if _DECIDING in str(one.get("name"))), None
        )
        if deciding is None:
            return None
        name = "numRecordsInPerSecond"
        found = self._part(
            f"/jobs/{job}/vertices/{deciding['id']}/subtasks/metrics?get={name}&agg=sum", ()
        )
        value = next((one.get("sum") for one in found if one.get("id") == name), None)
        return float(value) if value is not None else None


def _summary(told: Mapping[str, Any]) -> JobSummary:
    return JobSummary(
        str(told.get("jid", "")),
        str(told.get("name", "")),
        _STATES.get(str(told.get("state")), JobState.UNKNOWN),
        moment(told.get("start-time")),
    )


def _path(checkpoint: Mapping[str, Any] | None) -> str:
    """Where a checkpoint is; empty if it does not outlive the JobManager."""
    told = str((checkpoint or {}).get("external_path") or "")
    return "" if told.startswith("<") else told


def _when(checkpoint: Mapping[str, Any] | None) -> float:
    """Milliseconds at which a checkpoint ended."""
    return float((checkpoint or {}).get("latest_ack_timestamp") or 0) or float(
        (checkpoint or {}).get("trigger_timestamp") or 0
    )


def _last_error(failures: Mapping[str, Any]) -> tuple[str, datetime | None]:
    entries = (failures.get("exceptionHistory") or {}).get("entries") or ()
    if entries:
        newest = max(entries, key=lambda one: one.get("timestamp") or 0)
        return one_line(str(newest.get("stacktrace", ""))), moment(newest.get("timestamp"))
    if failures.get("root-exception"):
        return one_line(str(failures["root-exception"])), moment(failures.get("timestamp"))
    return "", None


def _restarts(
    failures: Mapping[str, Any], total: int | None, started: datetime | None, now: datetime
) -> Restarts:
    """Restarts in the last hour: all of a young job, else what Flink remembers of them."""
    if total is not None and started is not None and now - started < _HOUR:
        return Restarts(total)
    history = failures.get("exceptionHistory") or {}
    times = [moment(one.get("timestamp")) for one in history.get("entries") or ()]
    recent = [one for one in times if one is not None and now - one < _HOUR]
    cut = bool(history.get("truncated")) and len(recent) == len(times)
    return Restarts(len(recent), at_least=cut)
