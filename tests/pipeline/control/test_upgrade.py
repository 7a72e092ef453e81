"""A new version takes the place of a job with its state, or the old one comes back."""

from __future__ import annotations

import pytest

from quorum.core.errors import ConfigurationError, QuorumError
from quorum.core.messages import now
from quorum.pipeline.control.records import Command
from quorum.pipeline.control.status import Checkpoint, JobStatus, JobSummary, Restarts
from quorum.pipeline.control.upgrade import Start, Times, UpgradeFailed, replace_job
from tests.pipeline.control.fake_engine import Behaviour, FakeEngine, dies, restarts, runs, well

TIMES = Times(state=5.0, going=5.0, steady=0.02, poll=0.005)


def upgraded(
    engine: FakeEngine,
    new: str,
    old: tuple[str, ...] = ("old",),
    start: Start | None = None,
    kept: list[str] | None = None,
    first: Behaviour = well,
) -> str:
    told: list[str] = []
    return replace_job(
        engine,
        engine.begin("first", first),
        Command((new,)),
        Command(old),
        start=start or engine.start,
        tell=told.append,
        kept=[].append if kept is None else kept.append,
        times=TIMES,
    )


def test_a_version_that_runs_takes_the_state() -> None:
    engine = FakeEngine(new=runs)
    assert upgraded(engine, "new") == "new-1"
    assert engine.started == [("new", "savepoint-first")]
    assert engine.stopped == ["first"]


def test_a_job_that_cannot_be_stopped_runs_on() -> None:
    engine = FakeEngine(new=runs)
    engine.refuses_to_stop = "no savepoint was taken"
    with pytest.raises(QuorumError, match="no savepoint"):
        upgraded(engine, "new")
    assert engine.started == []
    assert engine.stopped == []


def test_a_job_that_restarts_over_and_over_gives_its_last_checkpoint_to_the_mend() -> None:
    engine = FakeEngine(new=runs)
    engine.refuses_to_stop = "not all required tasks are running"
    assert upgraded(engine, "new", first=restarts_after_one) == "new-1"
    assert engine.started == [("new", "chk-first-1")]
    assert engine.stopped == ["first"]


def restarts_after_one(summary: JobSummary, looks: int) -> JobStatus:
    return JobStatus(summary, Restarts(3), Checkpoint(now(), 10, f"chk-{summary.id}-1"), 1.0)


@pytest.mark.parametrize(
    ("behaviour", "reason"),
    [
        (dies, "ended as failed: the state does not fit"),
        (restarts, "restarted 3 times in the last hour: no module"),
        (None, "no worker pool listens"),
    ],
)
def test_a_version_that_does_not_get_going_gives_its_place_back(
    behaviour: object, reason: str
) -> None:
    engine = FakeEngine(old=runs, **({"new": behaviour} if behaviour else {}))  # type: ignore[arg-type]
    with pytest.raises(UpgradeFailed, match=f"{reason}; the old one runs again, as old-2"):
        upgraded(engine, "new")
    assert engine.started[-1] == ("old", "savepoint-first")


def test_what_the_new_version_had_acknowledged_is_not_lost_on_the_way_back() -> None:
    # It completed a checkpoint, so that the savepoint is older than what was acknowledged.
    engine = FakeEngine(once=restarts, old=runs)
    kept: list[str] = []
    with pytest.raises(UpgradeFailed):
        upgraded(engine, "once", kept=kept)
    assert engine.started[-1] == ("old", "chk-once-1-1")
    # Where it is known should this process be killed meanwhile.
    assert kept == ["savepoint-first", "chk-once-1-1"]


def test_a_job_that_somebody_else_started_meanwhile_is_left_alone() -> None:
    engine = FakeEngine()

    def refused(_: Command, state: str) -> str:
        engine.begin("theirs", runs)
        msg = f"the job quorum runs already, so that {state} is not used"
        raise ConfigurationError(msg)

    with pytest.raises(QuorumError, match="runs already"):
        upgraded(engine, "new", start=refused)
    assert engine.stopped == ["first"]


def test_an_engine_that_forgot_a_job_once_it_was_stopped_is_no_hindrance(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    engine = FakeEngine(new=runs)
    stop = engine.stop

    def stopped(job: str, *, seconds: float) -> str:
        state = stop(job, seconds=seconds)
        del engine._jobs[job]
        return state

    monkeypatch.setattr(engine, "stop", stopped)
    assert upgraded(engine, "new") == "new-1"


def test_where_nothing_gets_going_the_state_is_named() -> None:
    with pytest.raises(QuorumError, match="--savepoint_path=savepoint-first"):
        upgraded(FakeEngine(new=dies, old=dies), "new")
    with pytest.raises(QuorumError, match=r"no way back.*savepoint-first"):
        upgraded(FakeEngine(new=dies), "new", old=())
