from __future__ import annotations

import json
import logging
import threading
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from quorum.apps.alerts.channels import open_senders
from quorum.apps.alerts.watcher import BACK_OFF, Deliverer, Watcher, run
from quorum.apps.cli.alerts import NotSent, app
from quorum.core.alert_settings import AlertSettings
from quorum.core.errors import ConfigurationError
from quorum.core.messages import now
from quorum.core.metrics import ALERT_NOTICES, ALERTS_OPEN
from quorum.store.alerts.episodes import Notices, newest
from quorum.store.ledger import Ledger
from tests.apps.alerts.conftest import SECRET
from tests.apps.console.conftest import soon
from tests.store.alerts.test_counting import add_verdicts

WEEK = timedelta(days=7)


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    """A ledger in which 3 % were removed in the same hour of four weeks, and 20 % now."""
    with Ledger(f"sqlite:///{tmp_path}/l.db", create=True) as made:
        for week in range(5):
            at = now() - WEEK * week - timedelta(minutes=15)
            removed = 200 if week == 0 else 30
            add_verdicts(made, at, "spam", "remove", removed)
            add_verdicts(made, at, "rest", "allow", 1000 - removed)
        yield made


def settings(receiver: Any, *more: dict[str, Any]) -> dict[str, Any]:
    hook = {"kind": "webhook", "name": "desk", "url": receiver.url, "secret_env": "S"}
    return {
        "console": "https://console.example.org",
        "watch": ["rule", "removals"],
        "channels": [hook, *more],
    }


def told(receiver: Any) -> list[tuple[str, str]]:
    return sorted((one["type"], one["data"]["kind"]) for one in receiver.bodies())


def drain(deliverer: Deliverer) -> None:
    while deliverer.step():
        pass


def test_a_rate_that_leaves_its_pattern_is_told_once_and_its_end_too(ledger: Ledger, receiver):
    chosen = AlertSettings(**settings(receiver))
    (sender,) = open_senders(chosen, {"S": SECRET})
    Watcher(ledger, chosen).look()
    drain(Deliverer(ledger, sender, chosen.console))
    # The rest is less frequent, but not by so much that it is told.
    assert told(receiver) == [("alert.opened", "removals"), ("alert.opened", "rule")]
    assert ALERTS_OPEN._value.get() == 2
    # After a restart, and in a second process, nothing is told again.
    for _ in range(2):
        Watcher(ledger, chosen).look()
        drain(Deliverer(ledger, sender, chosen.console))
    assert len(receiver.taken) == 2
    # An hour later the wave is over.
    later = now() + timedelta(hours=2)
    for week in range(5):
        add_verdicts(ledger, later - WEEK * week - timedelta(minutes=15), "spam", "remove", 30)
        add_verdicts(ledger, later - WEEK * week - timedelta(minutes=15), "rest", "allow", 970)
    for minutes in (0, 30):
        Watcher(ledger, chosen).look(later + timedelta(minutes=minutes))
    queue = Notices(ledger, lambda: later + timedelta(hours=1))
    drain(Deliverer(ledger, sender, chosen.console, queue))
    assert told(receiver)[2:] == [("alert.resolved", "removals"), ("alert.resolved", "rule")]
    assert ALERTS_OPEN._value.get() == 0


def test_a_channel_that_fails_is_retried_counted_and_holds_nobody_up(
    ledger: Ledger, receiver, caplog: pytest.LogCaptureFixture
):
    away = {"kind": "slack", "name": "away", "url_env": "U"}
    chosen = AlertSettings(**{**settings(receiver, away), "watch": ["removals"]})
    desk, other = open_senders(chosen, {"S": SECRET, "U": "http://127.0.0.1:9/s3cret"})
    at = [now()]
    Watcher(ledger, chosen).look()
    queue = Notices(ledger, lambda: at[0] + timedelta(seconds=1))
    failed = ALERT_NOTICES.labels("away", "failed")._value.get()
    with caplog.at_level(logging.WARNING):
        for _ in range(len(BACK_OFF) + 3):
            drain(Deliverer(ledger, other, None, queue))
            at[0] += timedelta(hours=3)
    drain(Deliverer(ledger, desk, None, queue))
    assert ALERT_NOTICES.labels("away", "failed")._value.get() - failed == len(BACK_OFF) + 1
    assert "gave an alert up for away: ConnectError" in caplog.text
    assert "s3cret" not in caplog.text
    assert told(receiver) == [("alert.opened", "removals")]


def test_a_running_process_looks_sends_and_ends(ledger: Ledger, receiver):
    chosen = AlertSettings(**{**settings(receiver), "watch": ["removals"]})
    senders = open_senders(chosen, {"S": SECRET})
    stopping = threading.Event()
    watcher = Watcher(ledger, chosen)
    thread = threading.Thread(target=run, args=(ledger, chosen, senders, watcher, stopping))
    thread.start()
    try:
        soon(lambda: receiver.taken)
    finally:
        stopping.set()
        thread.join(60)
    assert not thread.is_alive()
    assert watcher.problem is None


def command(tmp_path: Path, given: dict[str, Any], *arguments: str) -> Any:
    file = tmp_path / "s.yaml"
    file.write_text(json.dumps({"alerts": given}))
    more = ["--settings", str(file)]
    if arguments[0] != "test":
        more += ["--database", f"sqlite:///{tmp_path}/l.db"]
    return CliRunner().invoke(app, [*arguments, *more], catch_exceptions=False)


def test_the_command_checks_and_shows_what_would_be_sent(ledger: Ledger, receiver, tmp_path: Path):
    given = settings(receiver)
    checked = command(tmp_path, given, "check")
    assert "off      removals: 20 % now (17.6 to 22.6), 3 % usually (4 weeks)" in checked.output
    every = json.loads(command(tmp_path, given, "check", "--all", "--json").output)
    assert {(one["signal"]["kind"], one["state"]) for one in every} >= {("removals", "off")}
    dry = command(tmp_path, given, "run", "--dry-run").output
    assert "to desk (webhook): More than usual: removals. 20 % now" in dry
    assert "https://console.example.org/overview?window=24h" in dry
    assert newest(ledger) == []
    assert receiver.taken == []
    assert command(tmp_path, given, "list").output == "there was no alert\n"
    Watcher(ledger, AlertSettings(**given)).look()
    assert "nothing would be sent" in command(tmp_path, given, "run", "--dry-run").output
    assert "More than usual: removals" in command(tmp_path, given, "list").output


def test_the_command_tests_each_channel(receiver, tmp_path: Path, monkeypatch):
    monkeypatch.setenv("S", SECRET)
    assert "desk: sent" in command(tmp_path, settings(receiver), "test").output
    receiver.status = 503
    with pytest.raises(NotSent, match="not sent: desk"):
        command(tmp_path, settings(receiver), "test")
    for verb in ("run", "test"):
        with pytest.raises(ConfigurationError, match="name nobody to tell"):
            command(tmp_path, {}, verb)
