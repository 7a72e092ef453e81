"""A real MLflow server with a local store, as a process of the test."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from importlib.util import find_spec
from pathlib import Path

#: Seconds for a cold start, on a machine that does other things too.
START_SECONDS = 110


def absent() -> str | None:
    """Why there can be no server; None if there can. MLflow's client alone has none."""
    if find_spec("mlflow") is None:
        return "needs MLflow: pip install mlflow"
    return None if find_spec("flask") else "needs MLflow's server: pip install mlflow"


class MlflowServer:
    """Started at once; may be stopped and started again on its store and port.

    Args:
        folder: For its database and artifacts.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self.start()

    def start(self) -> None:
        beside = Path(sys.executable).parent / "mlflow"
        program = str(beside) if beside.is_file() else shutil.which("mlflow")
        assert program, "MLflow is installed without its program"
        environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
        # Its helpers for jobs are not needed, and take as much as the server itself.
        environment |= {
            "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
            "MLFLOW_DISABLE_TELEMETRY": "true",
        }
        with (self.folder / "server.log").open("ab") as log:
            self.process = subprocess.Popen(
                [
                    *(program, "server", "--host", "127.0.0.1", "--port", str(self.port)),
                    *("--workers", "1", "--backend-store-uri", f"sqlite:///{self.folder}/m.db"),
                    *("--artifacts-destination", str(self.folder / "artifacts")),
                ],
                cwd=self.folder,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        end = time.monotonic() + START_SECONDS
        while True:
            try:
                urllib.request.urlopen(f"{self.url}/health", timeout=2).close()
                return
            except OSError:
                told = (self.folder / "server.log").read_text()[-2000:]
                if self.process.poll() is not None or time.monotonic() > end:
                    self.stop()
                    raise AssertionError(f"the MLflow server does not answer: {told}") from None
                time.sleep(0.2)

    def stop(self) -> None:
        """Kill it and its workers, which are in a process group of their own."""
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(30)
