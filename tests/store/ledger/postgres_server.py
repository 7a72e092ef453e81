"""A real PostgreSQL server for tests: its own data folder, a free port of loopback."""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import socket
import subprocess
import tempfile
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text


def binary(name: str) -> str | None:
    """Where a server binary lies; Debian keeps them off the PATH."""
    folders = sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    return shutil.which(name) or next(
        (str(folder / name) for folder in folders if (folder / name).exists()), None
    )


def _as_user() -> tuple[int, int] | None:
    """PostgreSQL refuses to run as root: then run it as an unprivileged user and group."""
    if os.geteuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        with contextlib.suppress(KeyError):
            user = pwd.getpwnam(name)
            return user.pw_uid, user.pw_gid
    pytest.skip("PostgreSQL does not run as root, and there is no user postgres or nobody")


class PostgresServer:
    """A server that a test may stop and start again."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._as = _as_user()
        self._process: subprocess.Popen[bytes] | None = None
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        if self._as:
            os.chown(folder, *self._as)
        password = folder / "password"
        password.write_text("s3cret-word\n")
        if self._as:
            os.chown(password, *self._as)
        self._call(
            "initdb",
            *("-D", str(folder / "data"), "-U", "quorum", "-E", "UTF8", "--locale=C"),
            *("--auth=scram-sha-256", f"--pwfile={password}", "--no-sync"),
        )

    def url(self, database: str = "postgres") -> str:
        return f"postgresql://quorum:s3cret-word@127.0.0.1:{self.port}/{database}"

    def new_database(self) -> str:
        """The URL of an empty database of its own."""
        name = f"t{uuid.uuid4().hex}"
        admin = self.url().replace("postgresql:", "postgresql+psycopg:")
        engine = create_engine(admin, isolation_level="AUTOCOMMIT")
        with engine.connect() as connection:
            connection.execute(text(f'CREATE DATABASE "{name}"'))
        engine.dispose()
        return self.url(name)

    def start(self) -> None:
        # fsync off: a test's data need not outlive the machine.
        options = f"-p {self.port} -c listen_addresses=127.0.0.1 -c fsync=off -k {self.folder}"
        self._call(
            "pg_ctl",
            *("-D", str(self.folder / "data"), "-l", str(self.folder / "log")),
            *("-o", options, "-w", "start"),
        )

    def stop(self) -> None:
        self._call("pg_ctl", "-D", str(self.folder / "data"), "-m", "immediate", "-w", "stop")

    def _call(self, name: str, *args: str) -> None:
        program = binary(name)
        assert program
        # By setpriv and not by Python: to change the user, Python forks, and gRPC's threads make
        # that a crash in the child.
        before = (
            ["setpriv", f"--reuid={self._as[0]}", f"--regid={self._as[1]}", "--clear-groups"]
            if self._as
            else []
        )
        environment = {**os.environ, "LC_ALL": "C", "HOME": str(self.folder)}
        done = subprocess.run(
            [*before, program, *args],
            cwd=self.folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, done.stderr.decode()


@contextlib.contextmanager
def running() -> Iterator[PostgresServer]:
    """A running server, or a skip that says what lacks."""
    pytest.importorskip("psycopg", reason="needs quorum-moderation[postgres]")
    if binary("initdb") is None or binary("pg_ctl") is None:
        pytest.skip("needs PostgreSQL's server binaries (Debian: postgresql)")
    folder = Path(tempfile.mkdtemp(prefix="quorum-pg-"))
    try:
        server = PostgresServer(folder)
        server.start()
        try:
            yield server
        finally:
            with contextlib.suppress(AssertionError):
                server.stop()
    finally:
        shutil.rmtree(folder, ignore_errors=True)
