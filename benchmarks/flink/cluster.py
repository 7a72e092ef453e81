"""Flink and Beam's workers in processes of their own, on loopback."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

from quorum.core.errors import EngineUnavailable, QuorumError
from quorum.pipeline.control.flink_jobs import FlinkJobs
from quorum.pipeline.flink.cluster import FlinkCluster, FlinkRefused
from quorum.pipeline.streams.emulator import free_port

__all__ = ["HOME", "Flink", "Pool", "flink_home", "kill"]

#: Names the folder with Flink's jars and its script.
HOME = "QUORUM_FLINK"

_START_SECONDS = 120.0
_STILL_SECONDS = 5.0


def flink_home() -> tuple[Path | None, str]:
    """The folder with Flink as ``QUORUM_FLINK`` names it; None and the reason if there is none."""
    named = os.environ.get(HOME)
    if not named:
        return None, f"there is no Flink; {HOME} names a folder with it"
    if shutil.which("java") is None:
        return None, "there is no Java on this machine"
    return Path(named), ""


class Flink:
    """A JobManager and a TaskManager in processes of their own.

    Args:
        home: The folder with Flink.
        folder: For configuration, logs, checkpoints and savepoints.
        slots: Of the TaskManager.
        more: More of the cluster's configuration.

    Attributes:
        master: ``HOST:PORT`` of the JobManager's REST interface.
        cluster: The cluster there.
        jars: The folder of jars with Beam's job server.
    """

    def __init__(
        self, home: Path, folder: Path, slots: int = 1, more: Mapping[str, str] | None = None
    ) -> None:
        self._home = home
        self._folder = folder
        self.jars = home / "jars"
        conf = (home / "conf" / "config.yaml").read_text()
        ports = {key: free_port() for key in ("rest.port", "jobmanager.rpc.port")}
        given = {key: str(port) for key, port in ports.items()}
        given |= {"blob.server.port": str(free_port()), "taskmanager.numberOfTaskSlots": str(slots)}
        for key, value in (given | dict(more or {})).items():
            line = rf"(?m)^{re.escape(key)}: .*$"
            conf = re.sub(line, "", conf).rstrip() + f"\n{key}: {value}\n"
        conf = re.sub(r"file://[^\n]*?/(checkpoints|savepoints)", rf"file://{folder}/\1", conf)
        (folder / "conf").mkdir()
        (folder / "conf" / "config.yaml").write_text(conf)
        self.master = f"127.0.0.1:{ports['rest.port']}"
        self.cluster = FlinkCluster.at(self.master)
        self.jobmanager = self._start("jobmanager")
        self.taskmanager = self._start("taskmanager")
        try:
            self.await_slot()
        except BaseException:
            self.close()
            raise

    def _start(self, part: str) -> subprocess.Popen[bytes]:
        with (self._folder / f"{part}.log").open("ab") as log:
            return subprocess.Popen(
                [str(self._home / "run"), part],
                stdout=log,
                stderr=log,
                env={**os.environ, "FLINK_CONF": str(self._folder / "conf")},
                start_new_session=True,
            )

    def await_slot(self, slots: int = 1) -> None:
        """Wait until so many slots are free.

        Raises:
            EngineUnavailable: If they are not within two minutes.
        """
        end = time.monotonic() + _START_SECONDS
        while True:
            # While it elects its leader it refuses.
            with contextlib.suppress(EngineUnavailable, FlinkRefused):
                if self.cluster.get("/overview")["slots-available"] >= slots:
                    return
            if time.monotonic() > end:
                msg = f"the cluster has no free slot; see {self._folder}"
                raise EngineUnavailable(msg)
            time.sleep(0.2)

    def restart_taskmanager(self) -> None:
        """Kill the TaskManager, and start another."""
        kill(self.taskmanager)
        self.taskmanager = self._start("taskmanager")

    def restart_jobmanager(self) -> None:
        """Kill it: it forgets its jobs, and the TaskManager comes back to it."""
        kill(self.jobmanager)
        self.jobmanager = self._start("jobmanager")
        self.await_slot()

    def received(self, job: str) -> int:
        """How many uploads, predictions and reviews have reached the decision in a job."""
        vertices = self.cluster.get(f"/jobs/{job}")["vertices"]
        return sum(
            int(one["metrics"]["read-records"]) for one in vertices if "Decide" in one["name"]
        )

    def received_in_all(self, job: str) -> int:
        """``received`` once it has not grown for some seconds: what was given back came again."""
        last, since = -1, 0.0
        while time.monotonic() - since < _STILL_SECONDS:
            now = self.received(job)
            if now != last:
                last, since = now, time.monotonic()
            time.sleep(0.2)
        return last

    def running(self) -> str:
        """The id of the job that runs; empty for none."""
        jobs = self.cluster.get("/jobs/overview")["jobs"]
        return next((one["jid"] for one in jobs if one["state"] == "RUNNING"), "")

    def cancel(self, job: str, slots: int = 1) -> None:
        """End a job, and wait until its slots are free for the next."""
        with contextlib.suppress(QuorumError):
            FlinkJobs(self.cluster).cancel(job)
        self.await_slot(slots)

    def checkpoint(self) -> tuple[int, int]:
        """How many checkpoints the running job completed, and the bytes of the last one."""
        found = self.cluster.get(f"/jobs/{self.running()}/checkpoints")
        last = (found.get("latest") or {}).get("completed") or {}
        return int(found["counts"]["completed"]), int(last.get("state_size", 0))

    def close(self) -> None:
        """Kill both."""
        for process in (self.taskmanager, self.jobmanager):
            kill(process)


def kill(process: subprocess.Popen[bytes]) -> None:
    """Kill a process with its session."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


class Pool:
    """``quorum worker-pool`` in a process of its own, on a port that stays.

    Args:
        folder: For its log.
        environment: Of the process; by default that of this one.
    """

    def __init__(self, folder: Path, environment: Mapping[str, str] | None = None) -> None:
        self._log = folder / "pool.log"
        self._environment = None if environment is None else dict(environment)
        self._before = 0
        self.port = free_port()
        self.address = f"localhost:{self.port}"
        self.process = self._start()

    def _start(self) -> subprocess.Popen[bytes]:
        with self._log.open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "quorum", "worker-pool", "--port", str(self.port)],
                stdout=log,
                stderr=log,
                env=self._environment,
                start_new_session=True,
            )
        end = time.monotonic() + _START_SECONDS
        while self._starts() <= self._before:
            if time.monotonic() > end or process.poll() is not None:
                kill(process)
                msg = f"no worker pool: {self._log.read_text(errors='replace')[-2000:]}"
                raise EngineUnavailable(msg)
            time.sleep(0.1)
        return process

    def _starts(self) -> int:
        return self._log.read_text(errors="replace").count("workers for Flink at")

    def restart(self) -> None:
        """Kill it, and start another."""
        kill(self.process)
        self._before = self._starts()
        self.process = self._start()

    def close(self) -> None:
        """Kill it."""
        kill(self.process)
