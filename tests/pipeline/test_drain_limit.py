"""A drain ends within its limit, whatever hangs: the broker, the engine, a detector."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from quorum.pipeline.streams.emulator import free_port
from tests.broker_proxy import BrokerProxy, broker_proxy
from tests.hanging import hanging_environment, install_hanging
from tests.pipeline.doubles import upload
from tests.pipeline.jobs import Job, Streams, fused, wait_until
from tests.pipeline.test_job_health import asked, engine_of

pytestmark = [pytest.mark.emulator, pytest.mark.prism, pytest.mark.timeout(300)]

LIMIT = 8.0

#: The last thing that a drain may do at its limit is to end the process.
ENDING = 3.0


@pytest.fixture
def options(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """Options of a job whose detector hangs for longer than the test where a title says so."""
    made = install_hanging(tmp_path / "plugin", timeout=20.0)
    monkeypatch.setenv("PYTHONPATH", hanging_environment(tmp_path / "plugin")["PYTHONPATH"])
    yield made


def stopped(job: Job) -> tuple[int, float]:
    """The job's exit code after SIGTERM, and how long that took."""
    began = time.monotonic()
    return job.stop(LIMIT + 60), time.monotonic() - began


def running(streams: Streams, folder: Path, options: list[str]) -> Job:
    port = free_port()
    job = fused(
        streams,
        folder,
        *("--metrics-port", str(port), "--drain-seconds", str(LIMIT)),
        *options,
    )
    wait_until(lambda: asked(port)["status"] == "ready", 90, job.log)
    streams.publish("uploads", [upload("first")])
    streams.await_verdicts({"first"}, job)
    return job


@pytest.mark.parametrize("away", [BrokerProxy.stall, BrokerProxy.refuse], ids=["stalls", "gone"])
def test_a_drain_without_a_broker_ends_in_time(
    emulator: str,
    prism: str,
    tmp_path: Path,
    options: list[str],
    monkeypatch: pytest.MonkeyPatch,
    away: Callable[[BrokerProxy], None],
) -> None:
    streams = Streams()
    with broker_proxy(emulator) as broker:
        monkeypatch.setenv("PUBSUB_EMULATOR_HOST", broker.host)
        with running(streams, tmp_path, options) as job:
            # What is held cannot be given back.
            streams.publish("uploads", [upload("held", title="sleep")])
            time.sleep(2)
            away(broker)
            code, seconds = stopped(job)
            assert seconds < LIMIT + ENDING
            assert code == 0, job.log()


@pytest.mark.long
def test_a_drain_with_an_engine_that_is_stopped_ends_in_time(
    emulator: str, prism: str, tmp_path: Path, options: list[str]
) -> None:
    streams = Streams()
    with running(streams, tmp_path, options) as job:
        engine = engine_of(job)
        os.kill(engine, signal.SIGSTOP)
        uploads = {f"left-{number}": upload(f"left-{number}") for number in range(5)}
        streams.publish("uploads", list(uploads.values()))
        time.sleep(1)
        code, seconds = stopped(job)
        assert seconds < LIMIT + ENDING
        assert code == 0, job.log()
        wait_until(lambda: not Path(f"/proc/{engine}").exists(), 10, lambda: "Prism is left")
    with running(streams, tmp_path, options) as job:
        streams.await_verdicts(set(uploads), job)
        assert job.stop() == 0, job.log()


def test_a_drain_with_a_detector_that_hangs_ends_in_time(
    emulator: str, prism: str, tmp_path: Path, options: list[str]
) -> None:
    streams = Streams()
    with running(streams, tmp_path, options) as job:
        streams.publish("uploads", [upload("hung", title="sleep")])
        time.sleep(2)
        code, seconds = stopped(job)
        assert seconds < LIMIT + ENDING
        assert code == 0, job.log()
        assert "terminate" not in job.whole_log()
