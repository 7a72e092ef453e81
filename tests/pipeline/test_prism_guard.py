"""Prism's port is on loopback, or whoever can reach it is told of."""

from __future__ import annotations

import contextlib
import logging
import socket
import subprocess
import sys
import time

import pytest
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.runners.portability.prism_runner import PrismRunner

from quorum.core.errors import ConfigurationError
from quorum.pipeline import prism_guard
from quorum.pipeline.prism_guard import (
    _Runner,
    _Server,
    can_confine,
    guarded_runner,
    reachable_addresses,
)

confines = pytest.mark.skipif(
    not can_confine(), reason="this machine cannot bind a program's sockets to loopback"
)

#: As Java's servers do: the socket is in an epoll set before it is bound.
LISTENING = """
import select, socket, sys
made = socket.socket(socket.AF_INET6 if sys.argv[1] == "::" else socket.AF_INET)
waiting = select.epoll()
waiting.register(made, select.EPOLLIN)
made.bind((sys.argv[1], 0))
made.listen()
print(made.getsockname()[0], flush=True)
with socket.create_connection(("127.0.0.1", made.getsockname()[1])) if sys.argv[1] != "127.0.0.2" \
        else socket.create_connection(made.getsockname()):
    assert waiting.poll(10), "nobody is told of the connection"
    made.accept()[0].close()
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
    asking.bind(("0.0.0.0", 0))  # an answer from elsewhere comes to it
    assert asking.getsockname()[0] == "0.0.0.0"
sys.exit(3)
"""


def started(*words: str) -> subprocess.CompletedProcess[str]:
    command = [*prism_guard._LAUNCHER, sys.executable, "-c", LISTENING, *words]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


@confines
@pytest.mark.parametrize(
    ("asked", "found"),
    [("0.0.0.0", "127.0.0.1"), ("::", "::ffff:127.0.0.1"), ("127.0.0.2", "127.0.0.2")],
)
def test_a_program_listens_on_loopback_and_its_status_is_kept(asked: str, found: str) -> None:
    done = started(asked)
    assert (done.stdout.strip(), done.returncode) == (found, 3), done.stderr


def _connected(address: str, port: int) -> None:
    """Wait until something listens."""
    for _ in range(300):
        with contextlib.suppress(OSError):
            return socket.create_connection((address, port), 5).close()
        time.sleep(0.1)
    pytest.fail("nothing listens")


@confines
@pytest.mark.prism
def test_prism_cannot_be_reached_from_the_network(prism: str) -> None:
    options = PipelineOptions([f"--prism_location={prism}", "--job_port=0"])
    command, endpoint = _Server(options, confined=True).subprocess_cmd_and_endpoint()
    port = int(endpoint.rpartition(":")[2])
    running = subprocess.Popen([str(each) for each in command])
    try:
        _connected("127.0.0.1", port)
        for address in reachable_addresses():
            with pytest.raises(OSError):
                socket.create_connection((address, port), 5).close()
    finally:
        running.terminate()
        running.wait(10)


def confined_by(runner: PrismRunner) -> bool:
    assert isinstance(runner, _Runner)
    return runner.confined


@pytest.mark.parametrize(
    ("addresses", "told"),
    [
        ((), ""),
        (("10.0.0.7",), "whoever reaches 10.0.0.7 can use it"),
        (("10.0.0.7", "fd00::2"), "whoever reaches 10.0.0.7, fd00::2 can use it"),
        (("10.0.0.7", "8.8.8.8"), None),
        (("2606:4700::1111",), None),
    ],
)
def test_where_it_cannot_be_confined_the_addresses_decide(
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    addresses: tuple[str, ...],
    told: str | None,
) -> None:
    monkeypatch.setattr(prism_guard, "can_confine", lambda: False)
    monkeypatch.setattr(prism_guard, "reachable_addresses", lambda: addresses)
    assert not confined_by(guarded_runner(accept_open=True))
    assert not caplog.records
    if told is None:
        with pytest.raises(ConfigurationError, match="--allow-open-prism"):
            guarded_runner()
        return
    with caplog.at_level(logging.WARNING):
        assert not confined_by(guarded_runner())
    assert told in caplog.text
    assert bool(caplog.records) is bool(told)


def test_the_addresses_of_this_machine_are_found() -> None:
    if sys.platform != "linux":
        pytest.skip("reads Linux's interfaces")
    up = subprocess.run(
        ["hostname", "-I"], capture_output=True, text=True, timeout=10, check=False
    ).stdout.split()
    assert set(up) <= set(reachable_addresses())
    assert "127.0.0.1" not in reachable_addresses()
