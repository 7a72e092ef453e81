"""A client follows its job: health, metrics, log, and the job's own end."""

from __future__ import annotations

import threading

import prometheus_client
import pytest

from quorum.core import health
from quorum.core.errors import EngineUnavailable, QuorumError
from quorum.pipeline.control.status import JobState, JobStatus, NoSuchJob
from quorum.pipeline.control.watch import JobWatch, follow
from tests.pipeline.control.fake_engine import FakeEngine, dies, restarts, runs


def metric(name: str) -> float | None:
    return prometheus_client.REGISTRY.get_sample_value(name)


def test_a_job_that_restarts_over_and_over_is_not_ready_and_ends_with_its_error(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(health, "_CHECKS", {})
    monkeypatch.setattr(health, "_KNOWN", {})
    engine = FakeEngine()
    seen: list[dict[str, str]] = []

    def again_and_then_dead(summary: object, looks: int) -> JobStatus:
        seen.append(health.problems())
        return dies(summary, looks) if looks > 5 else restarts(summary, looks)  # type: ignore[arg-type]

    watch = JobWatch(engine, engine.begin("1", again_and_then_dead), seconds=0.001)
    with pytest.raises(QuorumError, match="the job 1 ended as failed: the state does not fit"):
        follow(watch, threading.Event())
    assert seen[-1]["job"] == "the job was restarted 5 times in the last hour: no module"
    assert "not ready: job: the job has had no checkpoint" in caplog.text
    assert metric("quorum_job_running") == 0.0
    assert health.problems() == {}


def test_figures_of_a_job_are_metrics() -> None:
    engine = FakeEngine()
    watch = JobWatch(engine, engine.begin("1", restarts))
    watch.look()
    assert (metric("quorum_job_running"), metric("quorum_job_restarts")) == (1.0, 1.0)
    other = JobWatch(engine, engine.begin("2", runs))
    other.look()
    assert metric("quorum_job_checkpoint_bytes") == 10.0
    assert (metric("quorum_job_checkpoint_age_seconds") or 0.0) >= 0.0


def test_a_job_that_ends_as_it_was_asked_to_ends_well() -> None:
    engine = FakeEngine()
    job = engine.begin("1", runs)
    engine.stop("1", seconds=1.0)
    follow(JobWatch(engine, job), threading.Event())
    stopped = threading.Event()
    stopped.set()
    follow(JobWatch(engine, engine.begin("2", runs)), stopped)
    assert engine.status("2").summary.state is JobState.RUNNING


def test_an_engine_that_is_away_is_waited_for_and_one_that_forgot_the_job_is_not() -> None:
    engine = FakeEngine()

    class Away(FakeEngine):
        def status(self, job: str) -> JobStatus:
            msg = "no Flink cluster answers"
            raise EngineUnavailable(msg)

    watch = JobWatch(Away(), engine.begin("1", runs))
    assert watch.look() is JobState.UNKNOWN
    assert watch.problem() == "no Flink cluster answers"
    with pytest.raises(NoSuchJob):
        follow(JobWatch(FakeEngine(), engine.begin("1", runs)), threading.Event())


def test_a_job_that_is_behind_is_told() -> None:
    engine = FakeEngine()

    def well(summary: object, looks: int) -> JobStatus:
        return JobStatus(summary)  # type: ignore[arg-type]

    watch = JobWatch(engine, engine.begin("1", well), behind=lambda: "the job is behind")
    watch.look()
    assert watch.problem() == "the job is behind"
