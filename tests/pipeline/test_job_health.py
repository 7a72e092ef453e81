"""Health is progress: on the real emulator and Prism, a job that stands still says so."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from quorum.pipeline.streams.emulator import free_port
from tests.broker_proxy import broker_proxy
from tests.hanging import hanging_environment, install_hanging
from tests.pipeline.doubles import upload
from tests.pipeline.jobs import Job, Streams, fused, wait_until

pytestmark = [pytest.mark.emulator, pytest.mark.prism, pytest.mark.timeout(300)]


def engine_of(job: Job) -> int:
    """The process of the job's Prism, which may be the child of one that keeps it on loopback."""
    (found,) = [
        child
        for child in children(job.process.pid)
        if b"prism" in Path(f"/proc/{child}/cmdline").read_bytes()
    ]
    return next(iter(children(found)), found)


def children(process: int) -> list[int]:
    return [
        int(child)
        for listed in Path(f"/proc/{process}/task").glob("*/children")
        for child in listed.read_text().split()
    ]


def health(port: int, *options: str) -> tuple[int, str]:
    """What ``quorum health`` says: its exit code and its words."""
    done = subprocess.run(
        [sys.executable, "-m", "quorum", "health", "--metrics-port", str(port), *options],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return done.returncode, done.stdout + done.stderr


def asked(port: int) -> dict[str, Any]:
    try:
        answer = httpx.get(f"http://127.0.0.1:{port}/ready", trust_env=False, timeout=5.0)
    except httpx.HTTPError:
        return {"status": "no answer"}
    found: dict[str, Any] = answer.json()
    return found


@pytest.fixture
def quick(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """Options of a job whose one detector is free, and hangs where a title says so."""
    options = install_hanging(tmp_path / "plugin", timeout=5.0)
    monkeypatch.setenv("PYTHONPATH", hanging_environment(tmp_path / "plugin")["PYTHONPATH"])
    yield options


@pytest.mark.long
def test_an_engine_that_is_stopped_is_told_and_goes_on(
    emulator: str, prism: str, tmp_path: Path, quick: list[str]
) -> None:
    streams, port = Streams(), free_port()
    with fused(streams, tmp_path, "--metrics-port", str(port), *quick) as job:
        wait_until(lambda: asked(port)["status"] == "ready", 90, job.log)
        first = {f"before-{number}": upload(f"before-{number}") for number in range(5)}
        streams.publish("uploads", list(first.values()))
        streams.await_verdicts(set(first), job)
        assert health(port) == (0, "ok\n")

        engine = engine_of(job)
        os.kill(engine, signal.SIGSTOP)
        stopped = time.monotonic()
        try:
            time.sleep(2)  # a bundle that had begun ends without the engine
            later = {f"later-{number}": upload(f"later-{number}") for number in range(20)}
            streams.publish("uploads", list(later.values()))
            wait_until(lambda: asked(port)["status"] == "not ready", 60, job.log)
            # Ten seconds without a beat, and a second or two of a loaded machine.
            assert 8 < time.monotonic() - stopped < 20
            code, told = health(port)
            assert code == 1
            assert "engine: the engine stands still: for" in told
            assert health(port, "--live")[0] == 1
            wait_until(lambda: time.monotonic() - stopped > 25, 60, job.log)
            streams.listen()
            assert not set(later) & streams.decided()
            assert asked(port)["status"] == "not ready"
        finally:
            os.kill(engine, signal.SIGCONT)
        wait_until(lambda: asked(port)["status"] == "ready", 60, job.log)
        streams.await_verdicts(set(later), job)
        assert job.stop() == 0, job.log()


def test_a_broker_that_is_away_is_told_and_the_job_goes_on(
    emulator: str, prism: str, tmp_path: Path, quick: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    streams, port = Streams(), free_port()
    with broker_proxy(emulator) as broker:
        monkeypatch.setenv("PUBSUB_EMULATOR_HOST", broker.host)
        with fused(streams, tmp_path, "--metrics-port", str(port), *quick) as job:
            wait_until(lambda: asked(port)["status"] == "ready", 90, job.log)
            broker.refuse()
            wait_until(lambda: asked(port)["status"] == "not ready", 60, job.log)
            told = asked(port)["problems"]
            assert any(name.startswith("pull ") for name in told), told
            # A restart does not bring a broker back.
            assert health(port, "--live") == (0, "ok\n")
            broker.come_back()
            wait_until(lambda: asked(port)["status"] == "ready", 60, job.log)
            streams.publish("uploads", [upload("after")])
            streams.await_verdicts({"after"}, job)
            assert job.stop() == 0, job.log()
