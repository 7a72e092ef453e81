"""Which job server is started, and what a user is told where it cannot be."""

from __future__ import annotations

import contextlib
import subprocess
from pathlib import Path
from typing import Any

import pytest

from quorum.core.errors import ConfigurationError, EngineUnavailable
from quorum.pipeline.flink import job_server as module
from quorum.pipeline.flink.job_server import JOB_SERVER, job_server
from quorum.pipeline.prism_guard import can_confine


def start(version: str = "1.19.0") -> None:
    with job_server("127.0.0.1:1", version):
        pytest.fail("it cannot have started")


@pytest.mark.parametrize(
    ("files", "told"),
    [
        ([], "no jar and no folder of jars"),
        (["other.jar"], "no beam-runners-flink jar"),
        (
            ["beam-runners-flink-1.17-2.62.0.jar"],
            "is for Flink 1.17, and the cluster is Flink 1.19",
        ),
    ],
)
def test_a_folder_without_the_right_job_server_is_refused(
    java: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, files: list[str], told: str
) -> None:
    for name in files:
        (tmp_path / name).touch()
    monkeypatch.setenv(JOB_SERVER, str(tmp_path))
    with pytest.raises(ConfigurationError, match=told):
        start()


def test_a_jar_for_another_flink_is_refused(
    java: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    jar = tmp_path / "beam-runners-flink-1.18-job-server-2.62.0.jar"
    jar.touch()
    monkeypatch.setenv(JOB_SERVER, str(jar))
    with pytest.raises(ConfigurationError, match=r"for Flink 1\.18"):
        start()


def test_a_jar_that_does_not_start_is_told_by_its_last_line(
    java: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    jar = tmp_path / "server.jar"
    jar.write_text("no jar")
    monkeypatch.setenv(JOB_SERVER, str(jar))
    with pytest.raises(EngineUnavailable, match=r"did not start: .*jar"):
        start()


def test_it_is_started_so_that_it_ends_with_a_client_that_is_killed(
    java: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    jar = tmp_path / "server.jar"
    jar.touch()
    monkeypatch.setenv(JOB_SERVER, str(jar))
    started: list[list[str]] = []

    def instead(command: list[str], **options: Any) -> subprocess.Popen[bytes]:
        started.append(command)
        return subprocess.Popen(["sh", "-c", "echo instead of Java; exit 1"], **options)

    monkeypatch.setattr(module, "start_with_parent", instead)
    with pytest.raises(EngineUnavailable, match="instead of Java"):
        start()
    assert java in started[0]


def test_none_of_its_ports_is_reached_from_the_network(
    flink_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not can_confine():
        pytest.skip("this machine cannot bind a program's sockets to loopback")
    monkeypatch.setenv(JOB_SERVER, str(flink_home / "jars"))
    with job_server("127.0.0.1:1", "1.19.0") as address:
        hosts = listening(f"--job-port={address.rpartition(':')[2]}")
    # For jobs, artifacts and expansion, each on ::ffff:127.0.0.1.
    assert hosts == ["0000000000000000FFFF00000100007F"] * 3


def listening(word: str) -> list[str]:
    """The addresses, as Linux writes them, on which programs that are called so listen."""
    inodes = set()
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if word.encode() in (process / "cmdline").read_bytes().split(b"\0"):
                inodes |= {str(one.readlink()) for one in (process / "fd").iterdir()}
    lines = Path("/proc/net/tcp6").read_text().splitlines()[1:]
    lines += Path("/proc/net/tcp").read_text().splitlines()[1:]
    rows = [line.split() for line in lines]
    listens = "0A"
    return [row[1].partition(":")[0] for row in rows
            if row[3] == listens and f"socket:[{row[9]}]" in inodes]  # fmt: skip


def test_without_java_what_to_do_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    with pytest.raises(EngineUnavailable, match="--job-endpoint"):
        start()
