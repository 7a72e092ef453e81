"""A job under measurement: ``quorum stream`` on Flink or on Prism, with its broker and platform."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.flink import detectors
from benchmarks.flink.cluster import Flink, Pool, flink_home, kill
from benchmarks.stream import PREFIX, PROJECT, Platform, uploads
from benchmarks.texts import ROOT
from quorum.core.errors import EngineUnavailable
from quorum.pipeline.streams.emulator import emulator

__all__ = ["Given", "Running", "cluster", "running"]

_TO_START = 180.0


@dataclass(frozen=True, slots=True)
class Given:
    """What a job is started with.

    Attributes:
        names: Of its detectors; empty for those that ship, with the policy that ships.
        batch: The most uploads of a batch.
        processes: How many processes score; None for one for each processor.
        deadline: Of the policy, in seconds.
        retention: Of the policy, in seconds.
        parallelism: Slots of the job on Flink.
        checkpoint_milliseconds: Between two checkpoints.
    """

    names: Sequence[str] = detectors.TRIVIAL
    batch: int = 32
    processes: int | None = None
    deadline: float = 60.0
    retention: float = 3600.0
    parallelism: int = 1
    checkpoint_milliseconds: int = 1000

    def arguments(self, folder: Path) -> list[str]:
        """The command line after ``quorum``, with its files in ``folder``."""

        def topic(name: str) -> str:
            return f"projects/{PROJECT}/topics/{PREFIX}-{name}"

        made = [
            "stream",
            *("--uploads", f"projects/{PROJECT}/subscriptions/{PREFIX}-uploads-stream"),
            *("--verdicts", topic("verdicts")),
            *("--predictions", topic("predictions")),
            *("--dead-letters", topic("dead-letters")),
        ]
        if self.names:
            settings, policy = folder / "settings.yaml", folder / "policy.yaml"
            settings.write_text(
                detectors.settings(self.names, batch=self.batch, processes=self.processes)
            )
            policy.write_text(
                detectors.policy(self.names, deadline=self.deadline, retention=self.retention)
            )
            made += ["--settings", str(settings), "--policy", str(policy)]
        return made


@dataclass(frozen=True, slots=True)
class Running:
    """A job that has decided its first uploads.

    Attributes:
        platform: Publishes, and notes when each verdict comes.
        job: Its id on Flink; empty on Prism.
        processes: The ids of the processes that it consists of; they have children.
        pool: Where its workers run on Flink.
    """

    platform: Platform
    job: str
    processes: Sequence[int]
    pool: Pool | None = None


@contextmanager
def cluster(slots: int = 1, more: Mapping[str, str] | None = None) -> Iterator[Flink]:
    """A Flink cluster on loopback; its files are in a temporary folder.

    Args:
        slots: Of its TaskManager.
        more: More of its configuration.

    Raises:
        EngineUnavailable: If there is no Flink on this machine, or it does not start.
    """
    home, reason = flink_home()
    if home is None:
        raise EngineUnavailable(reason)
    with tempfile.TemporaryDirectory(prefix="quorum-flink-") as folder:
        # All checkpoints between two looks at a cluster under load.
        made = Flink(home, Path(folder), slots, {"web.checkpoints.history": "200", **(more or {})})
        try:
            yield made
        finally:
            made.close()


@contextmanager
def running(given: Given, flink: Flink | None, warm: int = 64) -> Iterator[Running]:
    """A job with a broker of its own.

    Args:
        given: What it is started with.
        flink: The cluster; None for Prism.
        warm: How many uploads it decides beforehand.

    Raises:
        EngineUnavailable: If it does not start.
    """
    with ExitStack() as held:
        folder = Path(held.enter_context(tempfile.TemporaryDirectory(prefix="quorum-bench-")))
        held.enter_context(emulator())
        platform = Platform()
        held.callback(platform.close)
        detectors.install(folder / "plugin")
        path = os.pathsep.join([str(folder / "plugin"), str(ROOT)])
        environment = {**os.environ, "PYTHONPATH": path, "QUORUM_JOBS": str(folder / "jobs")}
        words = [sys.executable, "-m", "quorum", *given.arguments(folder)]
        job, pool = "", None
        if flink is None:
            processes = [_start_on_prism(words, environment, folder, held)]
        else:
            pool = Pool(folder, environment)
            held.callback(pool.close)
            job = _start_on_flink(words, environment, given, flink, pool)
            held.callback(flink.cancel, job, given.parallelism)
            parts = (pool.process, flink.taskmanager, flink.jobmanager)
            processes = [each.pid for each in parts]
        if warm:
            platform.publish(uploads(warm, "warm"))
            platform.await_all(warm, "warm", _TO_START)
        yield Running(platform, job, processes, pool)


def _start_on_prism(
    words: Sequence[str], environment: dict[str, str], folder: Path, held: ExitStack
) -> int:
    with (folder / "job.log").open("wb") as log:
        process = subprocess.Popen(
            words, stdout=log, stderr=log, env=environment, start_new_session=True
        )
    held.callback(kill, process)
    return process.pid


def _start_on_flink(
    words: Sequence[str], environment: dict[str, str], given: Given, flink: Flink, pool: Pool
) -> str:
    made = subprocess.run(
        [
            *words,
            *("--runner", "flink", "--flink-master", flink.master, "--flink-pool", pool.address),
            *("--detach", "--", f"--parallelism={given.parallelism}"),
            f"--checkpointing_interval={given.checkpoint_milliseconds}",
        ],
        env={**environment, "QUORUM_FLINK_JOB_SERVER": str(flink.jars)},
        capture_output=True,
        text=True,
        timeout=_TO_START,
        check=False,
    )
    if made.returncode:
        raise EngineUnavailable(made.stderr[-2000:])
    return made.stdout.strip()
