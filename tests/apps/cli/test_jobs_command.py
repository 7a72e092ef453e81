"""Jobs on a cluster that are stopped and started again by the command line."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from typer.testing import CliRunner

from quorum.apps.cli.jobs import app
from quorum.apps.cli.jobs_options import Place
from quorum.core.errors import ConfigurationError, QuorumError
from quorum.pipeline.control import launching, upgrade
from quorum.pipeline.control.records import Command, StartedJob, changing, keep, recorded
from quorum.pipeline.control.status import NoSuchJob
from tests.pipeline.control.fake_engine import FakeEngine, dies, restarts, runs, well

PLACE = "http://jobmanager:8081"
FIRST = StartedJob(PLACE, "quorum", "first", Command(("q", "stream"), "/where"), "0.3.0")


@pytest.fixture
def engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeEngine:
    """A cluster, and how the job of it was started."""
    monkeypatch.setenv("QUORUM_JOBS", str(tmp_path / "jobs"))
    made: Any = FakeEngine()
    made.place = PLACE
    made.cluster = SimpleNamespace(running=lambda _: "", checkpoint_folder=lambda: "")
    monkeypatch.setattr(Place, "flink", lambda _: made)
    keep(FIRST)
    return made


def jobs(*words: str) -> str:
    verb, *more = words
    told = CliRunner().invoke(app, [verb, "--flink-master", "jobmanager:8081", *more])
    if told.exception is not None and not isinstance(told.exception, SystemExit):
        raise told.exception
    return told.stdout


def test_a_job_that_was_stopped_is_resumed_with_the_state_that_it_left(
    engine: FakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[tuple[Command, str]] = []

    def start(command: Command, state: str) -> str:
        started.append((command, state))
        return "second"

    monkeypatch.setattr(launching, "start_from", start)
    monkeypatch.setattr(upgrade, "await_going", lambda *_: "")
    engine.begin("first", runs)
    assert jobs("stop", "first") == "savepoint-first\n"
    with pytest.raises(QuorumError, match="`quorum jobs resume` starts it again"):
        jobs("stop", "first")
    assert jobs("resume", "first") == "second\n"
    assert started == [(FIRST.command, "savepoint-first")]


@pytest.mark.parametrize("behaviour", [restarts, dies])
def test_a_job_that_is_not_well_is_stopped_at_its_last_checkpoint(
    engine: FakeEngine, behaviour: Any
) -> None:
    engine.begin("once", behaviour)
    for _ in range(3):
        engine.status("once")
    engine.refuses_to_stop = "no savepoint was taken"
    assert jobs("stop", "once") == ("chk-once-1\n" if behaviour is restarts else "\n")
    found = recorded(PLACE, "quorum")
    assert found is not None
    assert found.state == ("chk-once-1" if behaviour is restarts else "")


def test_a_job_that_is_well_runs_on_where_no_savepoint_can_be_taken(engine: FakeEngine) -> None:
    engine.begin("first", well)
    engine.refuses_to_stop = "no savepoint was taken"
    with pytest.raises(QuorumError, match="no savepoint was taken"):
        jobs("stop", "first")
    assert engine.stopped == []


@pytest.mark.parametrize("verb", ["stop", "upgrade", "drain", "resume"])
def test_nobody_changes_a_job_that_is_being_changed(engine: FakeEngine, verb: str) -> None:
    engine.begin("first", runs)
    with changing(PLACE, "quorum"), pytest.raises(QuorumError, match="is changing quorum now"):
        jobs(verb, "first")
    assert (engine.stopped, engine.started) == ([], [])


def test_a_beginning_that_fits_several_jobs_is_refused_with_their_names(
    engine: FakeEngine,
) -> None:
    keep(StartedJob(PLACE, "other", "firsts", FIRST.command, "0.3.0"))
    with pytest.raises(ConfigurationError, match=r"fits several jobs: .*other"):
        jobs("resume", "firs")
    with pytest.raises(ConfigurationError, match=r"of this cluster were: .*other"):
        jobs("resume", "unknown")


def test_a_cluster_that_forgot_a_job_is_listed_with_the_mend(
    engine: FakeEngine,
) -> None:
    told = CliRunner().invoke(app, ["list", "--flink-master", "jobmanager:8081"])
    assert "started from here were: quorum (`quorum jobs resume NAME`)" in told.output
    with pytest.raises(NoSuchJob, match="`quorum jobs resume` starts one again"):
        jobs("show", "first")
