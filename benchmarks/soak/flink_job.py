"""The job under test on Flink: a cluster, a worker pool, and the commands of its operator."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from benchmarks.flink.cluster import Flink, Pool
from benchmarks.soak.history import History, JobEnded, JobStarted, Survivors
from benchmarks.soak.processes import Process, descendants, of_session, resident_mebibytes
from quorum.core.errors import EngineUnavailable, QuorumError

__all__ = ["FlinkJob"]

_COMMAND_SECONDS = 300.0
#: How long children of a killed worker may take to notice.
_TO_NOTICE = 5.0
_TAIL = 12


class FlinkJob:
    """A job on a cluster of its own; see ``UnderTest``.

    Args:
        home: The folder with Flink.
        folder: For the files of cluster, pool and job; what is there of an earlier run is removed.
        arguments: After ``python -m quorum``.
        environment: Of the workers and of the commands.
        history: Takes starts and ends.

    Raises:
        EngineUnavailable: If the cluster or the job does not start.
    """

    def __init__(
        self,
        home: Path,
        folder: Path,
        arguments: Sequence[str],
        environment: Mapping[str, str],
        history: History,
    ) -> None:
        shutil.rmtree(folder, ignore_errors=True)
        (folder / "cluster").mkdir(parents=True)
        self._environment = {
            **environment,
            "QUORUM_JOBS": str(folder / "jobs"),
            "QUORUM_FLINK_JOB_SERVER": str(home / "jars"),
        }
        self._history = history
        self._log = folder / "pool.log"
        self._commands = folder / "commands.log"
        self._pool: Pool | None = None
        self._flink = Flink(home, folder / "cluster")
        try:
            self._pool = Pool(folder, self._environment)
            master, pool = self._flink.master, self._pool.address
            on = ("--runner", "flink", "--flink-master", master, "--flink-pool", pool, "--detach")
            self._job = self._quorum(*arguments, *on)
        except BaseException:
            self.close()
            raise
        history.add(JobStarted(at=time.time(), pid=self.pid))

    @property
    def ends(self) -> int:
        """See UnderTest."""
        return int(self._told().get("state") in ("FAILED", "CANCELED", "FINISHED"))

    @property
    def pid(self) -> int:
        """See UnderTest."""
        pool = self._pool
        return pool.process.pid if pool is not None and pool.process.poll() is None else 0

    @property
    def tail(self) -> str:
        """See UnderTest."""
        return "\n".join(self._log.read_text(errors="replace").splitlines()[-_TAIL:])

    def processes(self) -> list[Process]:
        """See UnderTest."""
        return descendants(self.pid) if self.pid else []

    def limited(self) -> Sequence[int]:
        """See UnderTest: workers, and the TaskManager with its checkpoints."""
        every = (self.pid, *(one.pid for one in self.processes()), self._flink.taskmanager.pid)
        return [pid for pid in every if pid]

    def signal_all(self, number: int) -> None:
        """See UnderTest: workers and TaskManager."""
        for pid in self.limited():
            with suppress(ProcessLookupError):
                os.kill(pid, number)

    def kill(self, kind: str, seconds: float) -> None:
        """See UnderTest: the workers, the TaskManager, or the JobManager."""
        since = time.time() * 1000
        end = time.monotonic() + seconds
        if kind == "taskmanager":
            self._flink.restart_taskmanager()
        elif kind == "jobmanager":
            self._flink.restart_jobmanager()
            self._job = self._quorum("jobs", "resume", self._job, *self._place())
        else:
            self._kill_workers()
        while not self._works(since) and time.monotonic() < end:
            time.sleep(0.2)

    def loses_state(self, kind: str) -> bool:
        """See UnderTest: Flink goes back to a checkpoint after a failure of any part."""
        return kind != "slow"

    def engine_sample(self) -> Mapping[str, float]:
        """See UnderTest."""
        found = {
            "taskmanager": resident_mebibytes(self._flink.taskmanager.pid),
            "jobmanager": resident_mebibytes(self._flink.jobmanager.pid),
        }
        with suppress(QuorumError):
            at = f"/jobs/{self._job}/checkpoints"
            latest = (self._flink.cluster.get(at).get("latest") or {}).get("completed")
            if latest:
                found["checkpoint"] = float(latest["state_size"])
                found["state"] = self._state(latest)
        return found

    def drain(self, seconds: float) -> int | None:
        """See UnderTest: ``quorum jobs drain``."""
        code: int | None = None
        with suppress(subprocess.TimeoutExpired):
            code = self._run("jobs", "drain", self._job, *self._place(), seconds=seconds).returncode
        told = "" if code == 0 else self._commands.read_text(errors="replace")[-400:]
        self._history.add(
            JobEnded(at=time.time(), code=-1 if code is None else code, by="drain", tail=told)
        )
        self.close()
        return code

    def close(self) -> None:
        """See UnderTest."""
        if self._pool is not None:
            self._pool.close()
        self._flink.close()

    def _kill_workers(self) -> None:
        assert self._pool is not None
        process = self._pool.process
        # The process alone: its children must notice.
        process.send_signal(signal.SIGKILL)
        code = process.wait()
        ended, deadline = time.time(), time.monotonic() + _TO_NOTICE
        while (left := of_session(process.pid)) and time.monotonic() < deadline:
            time.sleep(0.2)
        names = tuple(sorted(one.command[:200] for one in left))
        self._history.add(Survivors(at=time.time(), names=names))
        self._history.add(JobEnded(at=ended, code=code, by="kill"))
        self._pool.restart()
        self._history.add(JobStarted(at=time.time(), pid=self.pid))

    def _works(self, since: float) -> bool:
        """Whether all of the job runs, and began to after a time in milliseconds."""
        told = self._told()
        began = (told.get("timestamps") or {}).get("RUNNING", 0)
        parts = told.get("vertices") or ()
        return (
            told.get("state") == "RUNNING"
            and began > since
            and all(one["status"] == "RUNNING" for one in parts)
        )

    def _told(self) -> dict[str, Any]:
        try:
            told: dict[str, Any] = self._flink.cluster.get(f"/jobs/{self._job}")
        except QuorumError:
            return {}
        return told

    def _state(self, checkpoint: Mapping[str, Any]) -> float:
        """The bytes of the cases alone."""
        told = self._flink.cluster.get(
            f"/jobs/{self._job}/checkpoints/details/{checkpoint['id']}"
        ).get("tasks", {})
        named = {one["id"]: one["name"] for one in self._told().get("vertices", ())}
        return float(
            sum(one["state_size"] for task, one in told.items() if "Decide" in named.get(task, ""))
        )

    def _place(self) -> Sequence[str]:
        return ("--flink-master", self._flink.master)

    def _quorum(self, *words: str) -> str:
        """What a command prints.

        Raises:
            EngineUnavailable: If it fails.
        """
        made = self._run(*words, seconds=_COMMAND_SECONDS)
        if made.returncode:
            msg = f"`quorum {words[0]} {words[1]}` failed:\n{made.stderr[-2000:]}"
            raise EngineUnavailable(msg)
        return made.stdout.strip()

    def _run(self, *words: str, seconds: float) -> subprocess.CompletedProcess[str]:
        made = subprocess.run(
            [sys.executable, "-m", "quorum", *words],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            env=self._environment,
            timeout=seconds,
            check=False,
        )
        with self._commands.open("a") as log:
            log.write(f"$ quorum {' '.join(words)}\n{made.stdout}{made.stderr}")
        return made
