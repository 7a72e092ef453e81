"""What Flink's REST interface tells of a job, read from its own answers."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from quorum.core.errors import ConfigurationError, QuorumError
from quorum.pipeline.control.flink_jobs import FlinkJobs
from quorum.pipeline.control.status import (
    JobState,
    Limits,
    NoSuchJob,
    Restarts,
    find_job,
    problem,
)
from quorum.pipeline.flink.cluster import FlinkCluster, one_line
from tests.pipeline.control.conftest import StandIn

JOB = "f2ce58771a1ff70ee5c81596ed586c95"
NOW = 1_795_689_943_609

#: As Flink 1.19 tells an exception of Beam's worker.
TRACE = """org.apache.flink.runtime.taskmanager.AsynchronousException: Caught exception
\tat org.apache.flink.streaming.runtime.tasks.StreamTask.handleAsyncException(StreamTask.java:1503)
Caused by: java.lang.RuntimeException: Error received from SDK harness for instruction 5: Traceback
 (most recent call last):
Traceback (most recent call last):
  File "sdk_worker.py", line 327, in _execute
    response = task()
quorum.core.errors.InputError: the state of a case has format 9
\tat org.apache.beam.runners.fnexecution.control.FnApiControlClient.handle(FnApiControlClient.java)
"""


def flink(stand_in: StandIn) -> FlinkJobs:
    return FlinkJobs(FlinkCluster.at(stand_in.url))


def entry(seconds_ago: float) -> dict[str, Any]:
    return {"timestamp": NOW - int(seconds_ago * 1000), "stacktrace": TRACE}


def running(
    stand_in: StandIn,
    *,
    entries: list[dict[str, Any]] | None = None,
    truncated: bool = False,
    restarts: int = 0,
    age: float = 86_400.0,
    checkpoint_age: float | None = 2.0,
    failed: dict[str, Any] | None = None,
    state: str = "RUNNING",
) -> None:
    root = f"/jobs/{JOB}"
    completed = None
    if checkpoint_age is not None:
        completed = {
            "latest_ack_timestamp": NOW - int(checkpoint_age * 1000),
            "state_size": 96_772,
            "external_path": f"file:/kept/{JOB}/chk-44",
        }
    stand_in.answers = {
        f"GET {root}": {
            "jid": JOB,
            "name": "quorum-p-s",
            "state": state,
            "start-time": NOW - int(age * 1000),
            "now": NOW,
            "vertices": [
                {"id": "a", "name": "Source: StreamingImpulseSource -> [11]{Read uploads}"},
                {"id": "b", "name": "[4]{Decide, Publish verdicts 0}"},
            ],
        },
        f"GET {root}/exceptions": {
            "exceptionHistory": {"entries": entries or [], "truncated": truncated}
        },
        f"GET {root}/checkpoints": {"latest": {"completed": completed, "failed": failed}},
        f"GET {root}/checkpoints/config": {"interval": 1000},
        f"GET {root}/metrics": (200, [{"id": "numRestarts", "value": str(restarts)}]),
        f"GET {root}/vertices/b/subtasks/metrics": (
            200,
            [{"id": "numRecordsInPerSecond", "sum": 12.5}],
        ),
    }


def judged(stand_in: StandIn) -> str | None:
    at = datetime.fromtimestamp(NOW / 1000, UTC)
    return problem(flink(stand_in).status(JOB), Limits(), at)


def test_a_job_that_runs_is_told_whole(stand_in: StandIn) -> None:
    running(stand_in)
    status = flink(stand_in).status(JOB)
    assert status.summary.state is JobState.RUNNING
    assert status.restarts == Restarts(0)
    assert status.checkpoint is not None
    assert (status.checkpoint.size, status.checkpoint.path) == (
        96_772,
        f"file:/kept/{JOB}/chk-44",
    )
    assert (status.checkpoint_every, status.throughput, status.error) == (1.0, 12.5, "")
    assert judged(stand_in) is None


def test_restarts_over_and_over_are_a_problem_with_the_error_of_our_code(
    stand_in: StandIn,
) -> None:
    running(stand_in, entries=[entry(20), entry(500), entry(900), entry(7200)])
    assert judged(stand_in) == (
        "the job was restarted 3 times in the last hour: quorum.core.errors.InputError: the state "
        "of a case has format 9"
    )
    running(stand_in, entries=[entry(20), entry(7200)])
    assert judged(stand_in) is None


def test_what_flink_has_forgotten_of_an_hour_counts_as_at_least(stand_in: StandIn) -> None:
    running(stand_in, entries=[entry(one) for one in range(16)], truncated=True)
    assert "at least 16 times" in str(judged(stand_in))
    # All restarts of a job that is younger than an hour are of the last hour.
    running(stand_in, entries=[entry(one) for one in range(16)], truncated=True,
            restarts=6196, age=3000)  # fmt: skip
    assert "restarted 6196 times" in str(judged(stand_in))


@pytest.mark.parametrize("age", [None, 90.0])
def test_no_checkpoint_is_a_problem_with_the_reason_of_the_last_one(
    stand_in: StandIn, age: float | None
) -> None:
    failed = {"trigger_timestamp": NOW - 1000, "failure_message": "Checkpoint expired"}
    running(stand_in, checkpoint_age=age, age=90.0, failed=failed)
    assert judged(stand_in) == (
        "the job has had no checkpoint for 90 s, so that nothing is acknowledged: "
        "Checkpoint expired"
    )


def test_where_the_state_of_a_job_is_once_it_has_ended(stand_in: StandIn) -> None:
    running(stand_in)
    assert flink(stand_in).status(JOB).state == f"file:/kept/{JOB}/chk-44"
    told = stand_in.answers[f"GET /jobs/{JOB}/checkpoints"]["latest"]
    told["restored"] = {"external_path": "file:/kept/savepoint-1"}
    # As Flink says of a checkpoint in the JobManager's memory.
    told["completed"]["external_path"] = "<checkpoint-not-externally-addressable>"
    assert flink(stand_in).status(JOB).state == "file:/kept/savepoint-1"
    told["restored"] = None
    assert flink(stand_in).status(JOB).state == ""


def test_a_job_that_has_just_begun_needs_no_checkpoint_yet(stand_in: StandIn) -> None:
    running(stand_in, checkpoint_age=None, age=20.0)
    assert judged(stand_in) is None


def test_how_a_job_ended_is_told_with_its_error(stand_in: StandIn) -> None:
    running(stand_in, state="FAILED", entries=[entry(1)])
    assert str(judged(stand_in)).startswith("the job ended as failed: quorum.core.errors.Input")


@pytest.mark.parametrize("state", ["RUNNING", "INITIALIZING", "RECONCILING"])
def test_a_job_of_which_little_is_told_yet_is_there_all_the_same(
    stand_in: StandIn, state: str
) -> None:
    # Flink answers 404 for the checkpoints of a job that starts, or makes none.
    running(stand_in, state=state)
    for path in ("checkpoints", "checkpoints/config", "metrics", "vertices/b/subtasks/metrics"):
        del stand_in.answers[f"GET /jobs/{JOB}/{path}"]
    status = flink(stand_in).status(JOB)
    assert (status.checkpoint, status.checkpoint_every, status.throughput) == (None, None, None)
    assert judged(stand_in) is None


def test_a_job_that_the_cluster_forgot_is_told_with_the_mend(stand_in: StandIn) -> None:
    with pytest.raises(NoSuchJob, match="quorum jobs resume"):
        flink(stand_in).status(JOB)


def test_a_stop_returns_the_savepoint(stand_in: StandIn) -> None:
    stand_in.answers = {
        f"POST /jobs/{JOB}/stop": (202, {"request-id": "r"}),
        f"GET /jobs/{JOB}/savepoints/r": [
            {"status": {"id": "IN_PROGRESS"}},
            {"status": {"id": "COMPLETED"}, "operation": {"location": "s3://b/savepoint-1"}},
        ],
    }
    assert flink(stand_in).stop(JOB) == "s3://b/savepoint-1"
    assert stand_in.asked[0] == (f"POST /jobs/{JOB}/stop", "", {"drain": False})


def test_a_savepoint_that_fails_says_why_and_that_the_job_runs_on(stand_in: StandIn) -> None:
    cause = {"stack-trace": "x.CompletionException: y\n\tat z\nCaused by: Task is not running.\n"}
    stand_in.answers = {
        f"POST /jobs/{JOB}/stop": (202, {"request-id": "r"}),
        f"GET /jobs/{JOB}/savepoints/r": {
            "status": {"id": "COMPLETED"},
            "operation": {"failure-cause": cause},
        },
    }
    with pytest.raises(QuorumError, match=r"the job runs on: Task is not running"):
        flink(stand_in).stop(JOB)


def test_a_job_is_found_by_id_beginning_or_name_and_one_that_runs_goes_first(
    stand_in: StandIn,
) -> None:
    def one(job: str, state: str, at: int, name: str = "quorum-p-s") -> dict[str, Any]:
        return {"jid": job, "name": name, "state": state, "start-time": at}

    stand_in.answers["GET /jobs/overview"] = {
        "jobs": [
            one("aaaa1", "FAILED", 30),
            one("aaaa2", "RUNNING", 20),
            one("bbbb1", "FINISHED", 10, "other"),
            one("bbbb2", "CANCELED", 11, "other"),
        ]
    }
    service = flink(stand_in)
    assert find_job(service, "quorum-p-s").id == "aaaa2"
    assert find_job(service, "aaaa1").id == "aaaa1"
    assert find_job(service, "aaaa").id == "aaaa2"
    assert find_job(service, "other").id == "bbbb2"
    with pytest.raises(NoSuchJob, match="quorum jobs list"):
        find_job(service, "nothing")
    stand_in.answers["GET /jobs/overview"]["jobs"].append(one("aaaa3", "RUNNING", 40))
    with pytest.raises(ConfigurationError, match="aaaa3, aaaa2"):
        find_job(service, "aaaa")


def test_an_exception_without_python_is_told_by_its_deepest_cause() -> None:
    assert one_line("a.B: c\n\tat d\nCaused by: e.F: g\n\tat h\nCaused by: i.J: k\n") == "i.J: k"
    assert one_line("only this") == "only this"
    assert one_line("") == ""
