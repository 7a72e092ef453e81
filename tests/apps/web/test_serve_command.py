from __future__ import annotations

import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest
from typer.testing import CliRunner

from quorum.apps.cli.serve import app
from quorum.apps.http.keys import read_keys
from quorum.core.errors import ConfigurationError, EngineUnavailable


def test_a_new_key_is_told_once(tmp_path: Path) -> None:
    done = CliRunner().invoke(app, ["--new-key", "shop", "--scopes", "moderate"])
    lines = done.output.splitlines()
    file = tmp_path / "keys"
    file.write_text(lines[-1])
    assert lines[1].startswith("qm_")
    (key,) = read_keys(file)
    assert (key.name, key.scopes) == ("shop", frozenset({"moderate"}))
    with pytest.raises(ConfigurationError, match="unknown scope"):
        CliRunner().invoke(app, ["--new-key", "x", "--scopes", "all"], catch_exceptions=False)


@pytest.mark.parametrize("text", ["", "# nothing", "a b", "a moderate 00"])
def test_a_file_that_holds_no_keys(text: str, tmp_path: Path) -> None:
    file = tmp_path / "keys"
    file.write_text(text)
    with pytest.raises(ConfigurationError):
        read_keys(file)


def test_others_need_a_key() -> None:
    with pytest.raises(ConfigurationError, match="--keys"):
        CliRunner().invoke(app, ["--host", "0.0.0.0"], catch_exceptions=False)


def test_a_taken_port_is_told_before_models_are_loaded() -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        with pytest.raises(EngineUnavailable, match="--port"):
            CliRunner().invoke(app, ["--port", str(other.getsockname()[1])], catch_exceptions=False)


def test_webhooks_need_a_ledger(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("QUORUM_DATABASE", raising=False)
    monkeypatch.setenv("HOOK", "whsec_" + "a" * 44)
    file = tmp_path / "h.yaml"
    file.write_text("- {name: a, url: 'https://x', secret_env: HOOK}")
    with pytest.raises(ConfigurationError, match="--database"):
        CliRunner().invoke(app, ["--port", "0", "--webhooks", str(file)], catch_exceptions=False)


pytest.importorskip("fastapi", reason="needs quorum-moderation[web]")

SERVE = """
import sys
sys.path.insert(0, ".")
from quorum.models.ensemble import Ensemble
from tests.apps.web.doubles import POLICY, Slow, Words
from quorum.apps.web.app import create_app
from quorum.apps.http.server import Server, bind
taken = bind("127.0.0.1", 0)
print(taken.getsockname()[1], flush=True)
Server(create_app(POLICY, Ensemble.of([Words(), Slow(1.0)]))).run(sockets=[taken])
"""


def test_sigterm_finishes_what_is_in_the_works_and_exits_0() -> None:
    process = subprocess.Popen([sys.executable, "-c", SERVE], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        url = f"http://127.0.0.1:{process.stdout.readline().strip()}"
        end = time.monotonic() + 30
        while True:
            try:
                httpx.get(f"{url}/ready").raise_for_status()
                break
            except httpx.TransportError:
                assert time.monotonic() < end
                time.sleep(0.05)
        with socket.create_connection(("127.0.0.1", int(url.rsplit(":", 1)[1]))) as asking:
            body = b'{"id":"a","uploader":"b","published_at":"2026-01-31T12:00:00Z","title":"x"}'
            asking.sendall(
                b"POST /v1/moderate HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n"
                b"content-length: " + str(len(body)).encode() + b"\r\n\r\n" + body
            )
            time.sleep(0.1)
            process.send_signal(signal.SIGTERM)
            asking.settimeout(15)
            assert asking.recv(4096).startswith(b"HTTP/1.1 200")
        assert process.wait(20) == 0
    finally:
        process.kill()
        process.wait()
