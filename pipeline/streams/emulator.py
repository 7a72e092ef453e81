"""The official Pub/Sub emulator, where this machine has it: for the demo and for tests."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from google.api_core import exceptions as google_errors

from quorum.core.errors import EngineUnavailable
from quorum.core.with_parent import start_with_parent
from quorum.pipeline.streams.pubsub_clients import publisher_client

__all__ = ["emulator", "find_emulator", "free_port"]

_START_SECONDS = 60.0
_INSIDE_SDK = Path("platform/pubsub-emulator/bin/cloud-pubsub-emulator")


def find_emulator() -> tuple[list[str] | None, str]:
    """The command that starts the emulator.

    It is looked for in ``QUORUM_PUBSUB_EMULATOR`` (its script or its jar), on the path, and beside
    ``gcloud``.

    Returns:
        The command without its options, or None; and what was found or is missing.
    """
    java = shutil.which("java")
    if java is None:
        return None, "no Java, which the Pub/Sub emulator needs"
    named = os.environ.get("QUORUM_PUBSUB_EMULATOR")
    if named and named.endswith(".jar"):
        return [java, "-jar", named], named
    gcloud = shutil.which("gcloud")
    candidates = [
        Path(named) if named else None,
        Path(found) if (found := shutil.which("cloud-pubsub-emulator")) else None,
        Path(gcloud).resolve().parent.parent / _INSIDE_SDK if gcloud else None,
    ]
    for candidate in candidates:
        if candidate and candidate.is_file():
            return [str(candidate)], str(candidate)
    return None, "no Pub/Sub emulator (`gcloud components install pubsub-emulator` brings it)"


def free_port() -> int:
    """A TCP port of the loopback address that is free now."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


@contextmanager
def emulator() -> Iterator[str]:
    """A fresh emulator on loopback, named in ``PUBSUB_EMULATOR_HOST`` while it runs.

    Returns:
        Its host and port.

    Raises:
        EngineUnavailable: If there is none on this machine, or if it does not start.
    """
    command, reason = find_emulator()
    if command is None:
        raise EngineUnavailable(reason)
    host = f"127.0.0.1:{(port := free_port())}"
    process = start_with_parent(
        [*command, "--host=127.0.0.1", f"--port={port}"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    before = os.environ.get("PUBSUB_EMULATOR_HOST")
    os.environ["PUBSUB_EMULATOR_HOST"] = host
    try:
        _wait_for(process)
        yield host
    finally:
        if before is None:
            del os.environ["PUBSUB_EMULATOR_HOST"]
        else:
            os.environ["PUBSUB_EMULATOR_HOST"] = before
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _wait_for(process: subprocess.Popen[bytes]) -> None:
    client = publisher_client()
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline:
        if process.poll() is not None:
            msg = f"the Pub/Sub emulator ended at once, with exit code {process.returncode}"
            raise EngineUnavailable(msg)
        try:
            list(client.list_topics(project="projects/quorum-probe", timeout=2.0, retry=None))
        except (google_errors.GoogleAPICallError, google_errors.RetryError):
            time.sleep(0.2)
        else:
            return
    msg = f"the Pub/Sub emulator did not answer within {_START_SECONDS:g} s"
    raise EngineUnavailable(msg)
