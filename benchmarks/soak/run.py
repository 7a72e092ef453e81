"""One soak: broker, job, platform, nemesis and sampler together, until all has its outcome."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from benchmarks.flink.cluster import flink_home
from benchmarks.soak.broker import Broker
from benchmarks.soak.flink_job import FlinkJob
from benchmarks.soak.history import History, Left, Started, key_of
from benchmarks.soak.job import Job
from benchmarks.soak.nemesis import Nemesis, faults
from benchmarks.soak.platform import Platform
from benchmarks.soak.sampling import Sampler
from benchmarks.soak.setting import Setting
from benchmarks.soak.under_test import UnderTest
from benchmarks.soak.workload import Shape, operations
from quorum.core.errors import EngineUnavailable
from quorum.pipeline.streams.emulator import free_port

__all__ = ["Soak", "soak"]

_TO_START = 120.0
#: By engine: on Flink the open cases end by their deadline first, after a savepoint and a start.
_DRAIN = {"prism": 40.0, "flink": 300.0}
#: Longer than a lease: what the job neither acked nor nacked is delivered again by then.
_LEASE = 17.0
_SUBSCRIPTIONS = ("uploads-stream", "partner-stream", "reviews-stream")


@dataclass(frozen=True, slots=True)
class Soak:
    """A soak to run.

    Attributes:
        seed: Of workload and faults.
        shape: Of the workload.
        setting: The deployment.
        slack: Seconds beyond the deadline that are allowed.
        every: Seconds between samples.
        command: Repeats it.
        root: The repository, for the job's path.
        engine: ``prism`` or ``flink``.
    """

    seed: int
    shape: Shape
    setting: Setting
    slack: float
    every: float
    command: str
    root: Path
    engine: str = "prism"

    @property
    def history_path(self) -> Path:
        """The recorded history."""
        return self.setting.folder / "history.jsonl"


def soak(one: Soak, tell: Callable[[str], None]) -> None:
    """Run a soak, and leave its history in its folder.

    Raises:
        EngineUnavailable: If there is no emulator or no Prism, or the job does not start.
    """
    one.setting.write()
    one.history_path.unlink(missing_ok=True)
    with ExitStack() as stack:
        history = History(one.history_path)
        stack.callback(history.close)
        history.add(
            Started(
                at=time.time(),
                command=one.command,
                policy=one.setting.policy_text,
                deadline=one.setting.deadline,
                slack=one.slack,
                engine=one.engine,
            )
        )
        broker = Broker(history)
        stack.callback(broker.close)
        port = free_port()
        environment = broker.environment() | {
            "PUBSUB_EMULATOR_HOST": broker.host,
            "PYTHONPATH": f"{one.setting.folder / 'plugin'}:{one.root}",
        }
        job = _job(one, port, environment, history)
        stack.callback(job.close)
        _wait_for_start(broker, job)
        platform = Platform(broker, history)
        stack.callback(platform.close)
        sampler = Sampler(job, platform, port, history, one.every)
        _load(one, broker, job, platform, history, tell)
        _settle(one, platform, tell)
        sampler.close()
        code = job.drain(_DRAIN[one.engine])
        tell(f"drained with {code}")
        time.sleep(1.0)
        for name in _SUBSCRIPTIONS:
            left = tuple(key_of(data) for data in broker.left(name, 2.0))
            history.add(Left(at=time.time(), stream=name, keys=left))


def _job(one: Soak, port: int, environment: dict[str, str], history: History) -> UnderTest:
    folder = one.setting.folder
    if one.engine != "flink":
        return Job(one.setting.arguments(port), environment, history, folder / "job.log")
    home, reason = flink_home()
    if home is None:
        raise EngineUnavailable(reason)
    return FlinkJob(home, folder / "flink", one.setting.arguments(None), environment, history)


def _wait_for_start(broker: Broker, job: UnderTest) -> None:
    deadline = time.monotonic() + _TO_START
    while not broker.tap.pulls:
        if job.ends:
            msg = f"the job ended at its start:\n{job.tail}"
            raise EngineUnavailable(msg)
        if time.monotonic() > deadline:
            msg = f"the job did not begin to pull within {_TO_START:g} s; see job.log"
            raise EngineUnavailable(msg)
        time.sleep(0.1)


def _load(
    one: Soak,
    broker: Broker,
    job: UnderTest,
    platform: Platform,
    history: History,
    tell: Callable[[str], None],
) -> None:
    """Publish, and do the faults."""
    stop = threading.Event()
    began, at = time.monotonic(), datetime.now(UTC)
    planned = operations(one.seed, one.shape, at)
    nemesis = Nemesis(job, broker, history)
    until = began + one.shape.seconds
    schedule = faults(one.seed, one.shape.seconds, one.shape.scenarios)
    threads = [
        threading.Thread(target=platform.run, args=(planned, began, stop), daemon=True),
        threading.Thread(target=nemesis.run, args=(schedule, until, stop), daemon=True),
    ]
    try:
        for thread in threads:
            thread.start()
        while any(thread.is_alive() for thread in threads):
            time.sleep(min(5.0, max(1.0, one.shape.seconds / 12)))
            tell(
                f"{time.monotonic() - began:5.0f} s: {platform.uploads:,} uploads, "
                f"{platform.verdicts:,} verdicts, {platform.waiting:,} wait"
                f"{'' if job.pid else ', the job is down'}"
            )
    finally:
        stop.set()


def _settle(one: Soak, platform: Platform, tell: Callable[[str], None]) -> None:
    """Wait until all has an outcome, is acked and orphans are over, while there is progress."""
    least = time.monotonic() + one.setting.orphan_wait + 3.0
    patience = _LEASE + one.setting.deadline + one.slack
    waiting, since = platform.waiting + platform.unacked, time.monotonic()
    while time.monotonic() < least or (waiting and time.monotonic() - since < patience):
        time.sleep(0.2)
        now = platform.waiting + platform.unacked
        if now < waiting:
            since = time.monotonic()
        waiting = now
    tell(f"settled: {platform.waiting} without an outcome")
