from __future__ import annotations

import signal
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path

import pytest
from typer.testing import CliRunner

from quorum.apps.cli.console import app
from quorum.core.errors import ConfigurationError
from quorum.store.ledger import Ledger, LedgerOutdated
from tests.apps.console.conftest import soon


def run(*args: str) -> None:
    CliRunner().invoke(app, args, catch_exceptions=False)


def test_configuration_errors_fail_at_the_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("quorum.apps.cli.options.configure_logs", lambda *_: None)
    url = f"sqlite:///{tmp_path}/l.db"
    with pytest.raises(ConfigurationError, match="--allow-host"):
        run("--host", "0.0.0.0", "--database", url)
    with pytest.raises(LedgerOutdated, match="quorum ledger init"):
        run("--port", "0", "--database", url)
    with Ledger(url, create=True):
        pass
    with pytest.raises(ConfigurationError, match="published to a topic"):
        run("--port", "0", "--database", url, "--reviews", "projects/p/subscriptions/s")


def test_it_serves_on_loopback_and_exits_on_sigterm(tmp_path: Path):
    url = f"sqlite:///{tmp_path}/l.db"
    with Ledger(url, create=True):
        pass
    command = [sys.executable, "-m", "quorum", "console", "--port", "0", "--database", url]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stderr is not None
            # A word on what is not protected may come first.
            lines = iter(process.stderr.readline, "")
            words = (word for line in lines for word in line.split())
            address = next(word for word in words if word.startswith("http://"))
            assert address.startswith("http://127.0.0.1:")

            def answers() -> bool:
                # The port is taken first and listens a moment later.
                try:
                    return urllib.request.urlopen(f"{address}/login", timeout=30).status == 200
                except urllib.error.URLError:
                    return False

            soon(answers)
            process.send_signal(signal.SIGTERM)
            assert process.wait(30) == 0
        finally:
            process.kill()
