"""Jobs on Dataflow, by its REST interface.

The interface is described at https://cloud.google.com/dataflow/docs/reference/rest. It is tested
against a stand-in that speaks the JSON described there, and has not been run against the service.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from quorum.core.errors import QuorumError
from quorum.pipeline.control.google_api import GoogleApi, NotFound
from quorum.pipeline.control.status import JobState, JobStatus, JobSummary, NoSuchJob

__all__ = ["ENDPOINT", "DataflowJobs"]

#: Names the interface's address, for a private endpoint.
ENDPOINT = "QUORUM_DATAFLOW_ENDPOINT"
_ADDRESS = "https://dataflow.googleapis.com"

_STATES = {
    "JOB_STATE_PENDING": JobState.STARTING,
    "JOB_STATE_QUEUED": JobState.STARTING,
    "JOB_STATE_STOPPED": JobState.STARTING,
    "JOB_STATE_RUNNING": JobState.RUNNING,
    "JOB_STATE_DRAINING": JobState.STOPPING,
    "JOB_STATE_CANCELLING": JobState.STOPPING,
    "JOB_STATE_RESOURCE_CLEANING_UP": JobState.STOPPING,
    "JOB_STATE_DONE": JobState.FINISHED,
    "JOB_STATE_DRAINED": JobState.DRAINED,
    "JOB_STATE_UPDATED": JobState.REPLACED,
    "JOB_STATE_CANCELLED": JobState.CANCELLED,
    "JOB_STATE_FAILED": JobState.FAILED,
}

#: How long a snapshot is kept.
_KEPT = "604800s"

_PAGE = 100
_MOST_PAGES = 10
_POLL_SECONDS = 2.0
_ERROR_CHARACTERS = 400


class DataflowJobs:
    """Jobs of one project and region; see ``JobService``.

    Args:
        project: The Google Cloud project.
        region: Such as ``europe-west1``.
        api: The interface; by default Google's, or the one that ``QUORUM_DATAFLOW_ENDPOINT`` names.
        poll: Seconds between looks at what takes time.
    """

    def __init__(
        self,
        project: str,
        region: str,
        api: GoogleApi | None = None,
        poll: float = _POLL_SECONDS,
    ) -> None:
        self._api = api or GoogleApi(os.environ.get(ENDPOINT, _ADDRESS))
        self._root = f"/v1b3/projects/{project}/locations/{region}"
        self.place = f"{project} {region}"
        self._poll = poll

    def jobs(self) -> list[JobSummary]:
        """See JobService."""
        found: list[JobSummary] = []
        query: dict[str, str | int] = {"filter": "ALL", "pageSize": _PAGE}
        for _ in range(_MOST_PAGES):
            told = self._api.ask("GET", f"{self._root}/jobs", query=query)
            found += [_summary(one) for one in told.get("jobs") or ()]
            if not told.get("nextPageToken"):
                break
            query["pageToken"] = str(told["nextPageToken"])
        return found

    def status(self, job: str) -> JobStatus:
        """See JobService. Dataflow restarts no jobs, and shows no checkpoints."""
        told = self._of(job, "GET", "")
        messages = self._of(
            job, "GET", "/messages", query={"minimumImportance": "JOB_MESSAGE_ERROR"}
        )
        errors = sorted(messages.get("jobMessages") or (), key=lambda one: str(one.get("time")))
        last = errors[-1] if errors else {}
        text = " ".join(str(last.get("messageText", "")).split())
        return JobStatus(
            _summary(told), error=text[:_ERROR_CHARACTERS], error_at=_time(last.get("time"))
        )

    def stop(self, job: str, *, seconds: float = 1800.0) -> str:
        """Take a snapshot of a job with its sources, and cancel it; see JobService."""
        made = self._of(job, "POST", ":snapshot", body={"ttl": _KEPT, "snapshotSources": True})
        snapshot = str(made.get("id"))
        end = time.monotonic() + seconds
        while made.get("state") != "READY":
            if made.get("state") == "FAILED" or time.monotonic() > end:
                msg = f"the snapshot {snapshot} was not made, and job {job} runs on: "
                raise QuorumError(msg + str(made.get("description") or made.get("state")))
            time.sleep(self._poll)
            made = self._api.ask("GET", f"{self._root}/snapshots/{snapshot}")
        self.cancel(job)
        return snapshot

    def cancel(self, job: str) -> None:
        """See JobService."""
        self._of(job, "PUT", "", body={"requestedState": "JOB_STATE_CANCELLED"})

    def drain(self, job: str) -> None:
        """Pull no more, finish what was pulled, and end."""
        self._of(job, "PUT", "", body={"requestedState": "JOB_STATE_DRAINED"})

    def _of(self, job: str, method: str, path: str, **more: Any) -> dict[str, Any]:
        try:
            return self._api.ask(method, f"{self._root}/jobs/{job}{path}", **more)
        except NotFound:
            msg = f"Dataflow knows no job {job} in {self.place}"
            raise NoSuchJob(msg) from None


def _summary(told: Mapping[str, Any]) -> JobSummary:
    return JobSummary(
        str(told.get("id", "")),
        str(told.get("name", "")),
        _STATES.get(str(told.get("currentState")), JobState.UNKNOWN),
        _time(told.get("startTime") or told.get("createTime")),
    )


def _time(text: object) -> datetime | None:
    try:
        return datetime.fromisoformat(str(text))
    except ValueError:
        return None
