"""A new version takes the place of a job with its state, or the old one comes back."""

from __future__ import annotations

import pytest

from quorum.core.errors import QuorumError
from quorum.pipeline.control.upgrade import Times, UpgradeFailed, replace_job
from tests.pipeline.control.fake_engine import FakeEngine, dies, restarts, runs

TIMES = Times(state=5.0, going=5.0, steady=0.02, poll=0.005)


def upgraded(engine: FakeEngine, new: str, old: tuple[str, ...] = ("old",)) -> str:
    job = engine.begin("first", runs)
    told: list[str] = []
    return replace_job(engine, job, (new,), old, start=engine.start, tell=told.append, times=TIMES)


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
    with pytest.raises(UpgradeFailed):
        upgraded(engine, "once")
    assert engine.started[-1] == ("old", "chk-once-1-1")


def test_where_nothing_gets_going_the_state_is_named() -> None:
    with pytest.raises(QuorumError, match="--savepoint_path=savepoint-first"):
        upgraded(FakeEngine(new=dies, old=dies), "new")
    with pytest.raises(QuorumError, match=r"no way back.*savepoint-first"):
        upgraded(FakeEngine(new=dies), "new", old=())
