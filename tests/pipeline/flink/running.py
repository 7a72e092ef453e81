"""Flink and Beam's workers in processes of their own, on loopback."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import httpx

from quorum.core.errors import EngineUnavailable
from quorum.pipeline.flink.cluster import FlinkCluster
from quorum.pipeline.streams.emulator import free_port

_START_SECONDS = 120.0


class Flink:
    """A JobManager and a TaskManager in processes of their own.

    Attributes:
        master: ``HOST:PORT`` of the JobManager's REST interface.
        cluster: The cluster there.
        jars: The folder of jars with Beam's job server.
    """

    def __init__(self, home: Path, folder: Path) -> None:
        self._home = home
        self._folder = folder
        self.jars = home / "jars"
        conf = (home / "conf" / "config.yaml").read_text()
        ports = {key: free_port() for key in ("rest.port", "jobmanager.rpc.port")}
        for key, port in (*ports.items(), ("blob.server.port", free_port())):
            conf = re.sub(rf"(?m)^{re.escape(key)}: .*$", f"{key}: {port}", conf)
        conf = re.sub(r"file://[^\n]*?/(checkpoints|savepoints)", rf"file://{folder}/\1", conf)
        (folder / "conf").mkdir()
        (folder / "conf" / "config.yaml").write_text(conf)
        self.master = f"127.0.0.1:{ports['rest.port']}"
        self.cluster = FlinkCluster.at(self.master)
        self.jobmanager = self._start("jobmanager")
        self.taskmanager = self._start("taskmanager")
        self.await_slot()

    def _start(self, part: str) -> subprocess.Popen[bytes]:
        with (self._folder / f"{part}.log").open("ab") as log:
            return subprocess.Popen(
                [str(self._home / "run"), part],
                stdout=log,
                stderr=log,
                env={**os.environ, "FLINK_CONF": str(self._folder / "conf")},
                start_new_session=True,
            )

    def await_slot(self) -> None:
        end = time.monotonic() + _START_SECONDS
        while True:
            try:
                if self.cluster.get("/overview")["slots-available"]:
                    return
            except EngineUnavailable:
                pass
            assert time.monotonic() < end, "the cluster has no slot"
            time.sleep(0.2)

    def restart_taskmanager(self) -> None:
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

    def running(self) -> str:
        """The id of the job that runs; empty for none."""
        jobs = self.cluster.get("/jobs/overview")["jobs"]
        return next((one["jid"] for one in jobs if one["state"] == "RUNNING"), "")

    def cancel(self, job: str) -> None:
        """End a job; it must have a free slot for the next test."""
        httpx.patch(f"{self.cluster.url}/jobs/{job}?mode=cancel", timeout=30).raise_for_status()
        self.await_slot()

    def checkpoint(self) -> tuple[int, int]:
        """How many checkpoints the running job completed, and the bytes of the last one."""
        found = self.cluster.get(f"/jobs/{self.running()}/checkpoints")
        last = (found.get("latest") or {}).get("completed") or {}
        return int(found["counts"]["completed"]), int(last.get("state_size", 0))

    def close(self) -> None:
        for process in (self.taskmanager, self.jobmanager):
            kill(process)


def kill(process: subprocess.Popen[bytes]) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


class Pool:
    """``quorum worker-pool`` in a process of its own, on a port that stays."""

    def __init__(self, folder: Path) -> None:
        self._log = folder / "pool.log"
        self.port = free_port()
        self.address = f"localhost:{self.port}"
        self.process = self._start()

    def _start(self) -> subprocess.Popen[bytes]:
        with self._log.open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "quorum", "worker-pool", "--port", str(self.port)],
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        end = time.monotonic() + _START_SECONDS
        while self._log.read_text(errors="replace").count("workers for Flink at") < self._starts():
            assert time.monotonic() < end, self._log.read_text(errors="replace")[-2000:]
            time.sleep(0.1)
        return process

    def _starts(self) -> int:
        self._count = getattr(self, "_count", 0)
        return self._count + 1

    def restart(self) -> None:
        kill(self.process)
        self._count += 1
        self.process = self._start()

    def close(self) -> None:
        kill(self.process)
