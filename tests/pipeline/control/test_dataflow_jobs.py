"""Jobs on Dataflow, by a stand-in that speaks the JSON of its documentation."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from quorum.core.errors import EngineUnavailable, QuorumError
from quorum.pipeline.control.backlog import behind, read_backlog
from quorum.pipeline.control.dataflow_jobs import DataflowJobs
from quorum.pipeline.control.google_api import GoogleApi
from quorum.pipeline.control.status import JobState, Limits, NoSuchJob, problem
from quorum.pipeline.control.upgrade import await_ended
from tests.pipeline.control.conftest import StandIn

JOBS = "/v1b3/projects/p/locations/r/jobs"


def dataflow(stand_in: StandIn) -> DataflowJobs:
    return DataflowJobs("p", "r", GoogleApi(stand_in.url), poll=0.01)


def told(job: str, state: str) -> dict[str, Any]:
    return {
        "id": job,
        "name": "quorum",
        "currentState": state,
        "createTime": "2026-11-26T10:00:00.123456Z",
    }


@pytest.mark.parametrize(
    ("said", "state"),
    [
        ("JOB_STATE_RUNNING", JobState.RUNNING),
        ("JOB_STATE_DRAINING", JobState.STOPPING),
        ("JOB_STATE_DRAINED", JobState.DRAINED),
        ("JOB_STATE_UPDATED", JobState.REPLACED),
        ("JOB_STATE_NEW_ONE", JobState.UNKNOWN),
    ],
)
def test_each_state_has_a_word(stand_in: StandIn, said: str, state: JobState) -> None:
    stand_in.answers[f"GET {JOBS}"] = {"jobs": [told("1", said)]}
    (one,) = dataflow(stand_in).jobs()
    assert (one.id, one.state) == ("1", state)
    assert one.started == datetime(2026, 11, 26, 10, 0, 0, 123456, UTC)


def test_all_pages_of_a_list_are_read(stand_in: StandIn) -> None:
    stand_in.answers[f"GET {JOBS}"] = [
        {"jobs": [told("1", "JOB_STATE_RUNNING")], "nextPageToken": "t"},
        {"jobs": [told("2", "JOB_STATE_DONE")]},
    ]
    assert [one.id for one in dataflow(stand_in).jobs()] == ["1", "2"]
    assert "pageToken=t" in stand_in.asked[1][1]


def test_the_last_error_is_told(stand_in: StandIn) -> None:
    stand_in.answers = {
        f"GET {JOBS}/1": told("1", "JOB_STATE_FAILED"),
        f"GET {JOBS}/1/messages": {
            "jobMessages": [
                {"time": "2026-11-26T10:02:00Z", "messageText": "the\nlast one"},
                {"time": "2026-11-26T10:01:00Z", "messageText": "an earlier one"},
            ]
        },
    }
    status = dataflow(stand_in).status("1")
    assert (status.error, status.restarts, status.checkpoint) == ("the last one", None, None)
    found = problem(status, Limits(), datetime.now(UTC))
    assert found == "the job ended as failed: the last one"
    assert "minimumImportance=JOB_MESSAGE_ERROR" in stand_in.asked[1][1]


def test_a_stop_takes_a_snapshot_and_then_cancels(stand_in: StandIn) -> None:
    stand_in.answers = {
        f"POST {JOBS}/1:snapshot": {"id": "s", "state": "PENDING"},
        "GET /v1b3/projects/p/locations/r/snapshots/s": [
            {"id": "s", "state": "RUNNING"},
            {"id": "s", "state": "READY"},
        ],
        f"PUT {JOBS}/1": told("1", "JOB_STATE_CANCELLING"),
    }
    assert dataflow(stand_in).stop("1") == "s"
    assert stand_in.asked[0][2] == {"ttl": "604800s", "snapshotSources": True}
    assert stand_in.asked[-1][2] == {"requestedState": "JOB_STATE_CANCELLED"}


def test_a_job_is_not_cancelled_without_its_snapshot(stand_in: StandIn) -> None:
    stand_in.answers = {
        f"POST {JOBS}/1:snapshot": {"id": "s", "state": "FAILED", "description": "no room"},
    }
    with pytest.raises(QuorumError, match="job 1 runs on: no room"):
        dataflow(stand_in).stop("1")
    assert [one[0] for one in stand_in.asked] == [f"POST {JOBS}/1:snapshot"]


def test_a_drain_is_asked_for_and_waited_for(stand_in: StandIn) -> None:
    stand_in.answers = {
        f"PUT {JOBS}/1": told("1", "JOB_STATE_DRAINING"),
        f"GET {JOBS}/1": [told("1", "JOB_STATE_DRAINING"), told("1", "JOB_STATE_DRAINED")],
        f"GET {JOBS}/1/messages": {},
    }
    service = dataflow(stand_in)
    service.drain("1")
    await_ended(service, "1", 60.0, 0.01)
    assert stand_in.asked[0][2] == {"requestedState": "JOB_STATE_DRAINED"}


def test_what_is_not_there_and_who_does_not_answer_are_told_apart(stand_in: StandIn) -> None:
    with pytest.raises(NoSuchJob, match="no job 9 in p r"):
        dataflow(stand_in).status("9")
    stand_in.answers[f"GET {JOBS}"] = (403, {"error": {"message": "Permission denied"}})
    with pytest.raises(QuorumError, match="Permission denied"):
        dataflow(stand_in).jobs()
    with pytest.raises(EngineUnavailable):
        DataflowJobs("p", "r", GoogleApi("http://127.0.0.1:1")).jobs()


def test_a_backlog_is_read_from_cloud_monitoring(
    stand_in: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    points = [{"value": {"int64Value": "900"}}, {"value": {"int64Value": "5"}}]
    stand_in.answers["GET /v3/projects/p/timeSeries"] = {"timeSeries": [{"points": points}]}
    api = GoogleApi(stand_in.url)
    found = read_backlog("projects/p/subscriptions/s", api)
    assert (found.messages, found.oldest, found.unknown) == (900, 900.0, "")
    assert "num_undelivered_messages" in stand_in.asked[0][1]
    assert "oldest_unacked_message_age" in stand_in.asked[1][1]
    assert behind(["projects/p/subscriptions/s"], 901.0, api) is None
    assert "has waited for 900 s" in str(behind(["projects/p/subscriptions/s"], 300.0, api))


def test_a_backlog_that_nobody_knows_is_said_to_be_unknown(
    stand_in: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PUBSUB_EMULATOR_HOST", "localhost:1")
    monkeypatch.delenv("QUORUM_MONITORING_ENDPOINT", raising=False)
    assert read_backlog("projects/p/subscriptions/s").unknown == "the emulator has no metrics"
    assert "quorum_backlog_messages" in read_backlog("kafka://a:9092/t").unknown
    assert behind(["projects/p/subscriptions/s"], 0.0) is None
    stand_in.answers["GET /v3/projects/p/timeSeries"] = {}
    found = read_backlog("projects/p/subscriptions/s", GoogleApi(stand_in.url))
    assert "no figures of it yet" in found.unknown
