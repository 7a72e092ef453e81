"""A real MariaDB server for tests: its own data folder, a free port of loopback."""

from __future__ import annotations

import contextlib
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import create_engine
from sqlalchemy.exc import SQLAlchemyError

from quorum.pipeline.streams.emulator import free_port


@contextlib.contextmanager
def running() -> Iterator[str]:
    """The URL of an empty database, or a skip that says what lacks."""
    pytest.importorskip("pymysql", reason="needs quorum-moderation[mysql]")
    server, install = shutil.which("mariadbd"), shutil.which("mariadb-install-db")
    if server is None or install is None or shutil.which("my_print_defaults") is None:
        pytest.skip("needs MariaDB's binaries (Debian: mariadb-server-core, mariadb-client-core)")
    folder = Path(tempfile.mkdtemp(prefix="quorum-my-"))
    user = "--user=root"  # of its files; ignored where the test does not run as root
    data = f"--datadir={folder / 'data'}"
    process = None
    try:
        made = subprocess.run(
            [
                install,
                "--no-defaults",
                data,
                user,
                "--skip-test-db",
                "--auth-root-socket-user=root",
            ],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=100,
            check=False,
        )
        assert made.returncode == 0, made.stdout
        port = free_port()
        begin = folder / "begin.sql"
        begin.write_text(
            "CREATE DATABASE site CHARACTER SET utf8mb4;\n"
            "CREATE USER reader@'127.0.0.1' IDENTIFIED BY 's3cret-word';\n"
            "GRANT ALL ON site.* TO reader@'127.0.0.1';"
        )
        with (folder / "log").open("wb") as log:
            process = subprocess.Popen(
                [
                    *(server, "--no-defaults", data, user, f"--socket={folder / 'socket'}"),
                    *(f"--port={port}", "--bind-address=127.0.0.1", "--skip-name-resolve"),
                    *(f"--init-file={begin}", "--innodb-flush-log-at-trx-commit=0"),
                ],
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        url = f"mysql://reader:s3cret-word@127.0.0.1:{port}/site"
        _wait(url, process, folder / "log")
        yield url
    finally:
        if process is not None:
            process.kill()
            process.wait()
        shutil.rmtree(folder, ignore_errors=True)


def _wait(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    engine = create_engine(url.replace("mysql:", "mysql+pymysql:"))
    until = time.monotonic() + 60
    while True:
        try:
            engine.connect().close()
            break
        except SQLAlchemyError:
            assert process.poll() is None and time.monotonic() < until, log.read_text()
            time.sleep(0.1)
    engine.dispose()
