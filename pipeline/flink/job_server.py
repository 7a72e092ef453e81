"""Beam's job server for Flink: it translates a job and hands it to the cluster."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.runners.portability.flink_runner import FlinkJarJobServer

from quorum.core.errors import ConfigurationError, EngineUnavailable
from quorum.core.with_parent import start_with_parent
from quorum.pipeline.downloads import bounded_download
from quorum.pipeline.flink.cluster import is_open
from quorum.pipeline.prism_guard import on_loopback
from quorum.pipeline.streams.emulator import free_port

__all__ = ["JOB_SERVER", "job_server"]

#: Names the job server: its jar, or a folder of jars.
JOB_SERVER = "QUORUM_FLINK_JOB_SERVER"

_DRIVER = "org.apache.beam.runners.flink.FlinkJobServerDriver"
_START_SECONDS = 90.0
_END_SECONDS = 5.0
#: How long Flink keeps a record that goes to another task, for more to come; its default of 100
#: is most of an upload's latency.
_BUFFER_MILLISECONDS = 5
_JAR = re.compile(r"beam-runners-flink[-_](\d+\.\d+)(?:-job-server)?-")
#: What Flink's serialisers reach into on Java 17.
_OPENS = [
    f"--add-opens=java.base/{package}=ALL-UNNAMED"
    for package in ("java.lang", "java.util", "java.net", "java.io", "java.nio", "java.time")
]


@contextmanager
def job_server(master: str, flink_version: str) -> Iterator[str]:
    """Start a job server on loopback, which ends with the block.

    Args:
        master: ``HOST:PORT`` of the JobManager's REST interface.
        flink_version: Of the cluster, such as ``1.19.0``.

    Yields:
        ``HOST:PORT`` of the job server.

    Raises:
        ConfigurationError: If ``QUORUM_FLINK_JOB_SERVER`` names no job server, or one for another
            version of Flink.
        EngineUnavailable: If there is no Java, no job server, or it does not start.
    """
    java = shutil.which("java")
    if java is None:
        msg = "--runner flink needs Java (17) for Beam's job server; install it, or give the "
        msg += "--job-endpoint of a job server that runs elsewhere"
        raise EngineUnavailable(msg)
    start = _classpath(flink_version)
    port = free_port()
    with tempfile.TemporaryDirectory(prefix="quorum-flink-") as folder:
        log = Path(folder) / "job-server.log"
        conf = _configuration(Path(folder) / "conf", flink_version)
        command = [
            *(java, *_OPENS, *start, f"--flink-master={master}", "--job-host=localhost"),
            *(f"--job-port={port}", "--artifact-port=0", "--expansion-port=0"),
            *(f"--artifacts-dir={folder}/artifacts", f"--flink-conf-dir={conf}"),
        ]
        with log.open("wb") as output:
            process = start_with_parent(
                # It heeds its host for what it tells alone, and listens on every interface.
                on_loopback("Beam's job server", command),
                stdout=output,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
                start_new_session=True,
            )
        try:
            _await(process, f"localhost:{port}", log)
            yield f"localhost:{port}"
        finally:
            process.terminate()
            try:
                process.wait(_END_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _configuration(folder: Path, flink_version: str) -> Path:
    """A folder with Flink's configuration for jobs."""
    folder.mkdir()
    is_old = flink_version.startswith(("1.16.", "1.17.", "1.18."))
    name = "flink-conf.yaml" if is_old else "config.yaml"
    (folder / name).write_text(f"execution.buffer-timeout: {_BUFFER_MILLISECONDS} ms\n")
    return folder


def _classpath(flink_version: str) -> list[str]:
    """Java's arguments that start the job server for a version of Flink."""
    wanted = ".".join(flink_version.split(".")[:2])
    named = os.environ.get(JOB_SERVER)
    if not named:
        return ["-jar", _downloaded(wanted)]
    path = Path(named)
    jars = sorted(path.glob("*.jar")) if path.is_dir() else [path] if path.is_file() else []
    if not jars:
        msg = f"{JOB_SERVER} names {named}, which is no jar and no folder of jars"
        raise ConfigurationError(msg)
    versions = {found[1] for jar in jars if (found := _JAR.match(jar.name))}
    if path.is_dir() and not versions:
        msg = f"{JOB_SERVER} names {named}, in which there is no beam-runners-flink jar"
        raise ConfigurationError(msg)
    if versions and wanted not in versions:
        msg = (
            f"the job server that {JOB_SERVER} names is for Flink {', '.join(sorted(versions))}, "
            f"and the cluster is Flink {flink_version}; take the job server of the same version"
        )
        raise ConfigurationError(msg)
    return ["-cp", str(path / "*"), _DRIVER] if path.is_dir() else ["-jar", str(path)]


def _downloaded(version: str) -> str:
    """The job server's jar as Beam downloads it, once."""
    try:
        with bounded_download():
            server = FlinkJarJobServer(PipelineOptions([f"--flink_version={version}"]))
            return str(server.local_jar(server.path_to_jar()))
    except (RuntimeError, OSError, ValueError, SystemExit) as error:
        msg = (
            f"Beam's job server for Flink {version} cannot be downloaded ({error}); set "
            f"{JOB_SERVER} to its jar, or give the --job-endpoint of one that runs"
        )
        raise EngineUnavailable(msg) from None


def _await(process: subprocess.Popen[bytes], address: str, log: Path) -> None:
    end = time.monotonic() + _START_SECONDS
    while not is_open(address):
        if process.poll() is not None or time.monotonic() > end:
            lines = log.read_text(errors="replace").split("\n")
            last = next((line.strip() for line in reversed(lines) if line.strip()), "no output")
            msg = f"Beam's job server for Flink did not start: {last[:300]}"
            raise EngineUnavailable(msg)
        time.sleep(0.1)
