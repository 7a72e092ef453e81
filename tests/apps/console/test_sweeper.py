"""Copies are swept within the console: on a schedule, with an alarm where that stands still."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from typer.testing import CliRunner

from quorum.apps.cli.app import app
from quorum.apps.console import sweeper as module
from quorum.apps.console.desk.alarms import NAMES
from quorum.apps.console.sweeper import Sweeper
from quorum.models.copyright.catalogue.catalogue import Catalogue
from quorum.store.ledger import Ledger
from quorum.store.notices import sweeping
from quorum.store.notices.reading import find_notice
from tests.apps.console.conftest import soon
from tests.models.copyright.test_copies import still
from tests.store.ledger.messages_for_ledger import at, upload, verdict
from tests.store.notices.test_notices import RULES, clock, send, take_down
from tests.store.notices.test_sweeping import copies, keep

__all__ = ["clock"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = Catalogue(tmp_path / "catalogue")
    made.keep_uploads(365)
    made.refresh()
    for number, name in ((0, "a"), (2, "a"), (3, "innocent"), (4, "a")):
        keep(made, number, still(name), at(number))
    made.close()
    return tmp_path / "catalogue"


@pytest.fixture
def removed(ledger: Ledger, clock: list[datetime]) -> str:
    ledger.record([one for n in range(5) for one in (upload(n), verdict(n))])
    made = send(ledger, 0, kind="intimate")
    take_down(ledger, made.id, clock[0])
    return made.id


@pytest.fixture
def running(ledger: Ledger, folder: Path, removed: str) -> Iterator[Sweeper]:
    made = Sweeper(ledger, lambda: Catalogue(folder), RULES, timedelta(seconds=0.2))
    yield made
    made.close()


def test_copies_are_found_on_a_schedule(running: Sweeper, ledger: Ledger, folder: Path) -> None:
    running.start()
    assert soon(lambda: set(copies(ledger)) == {"up-2", "up-4"})
    later = Catalogue(folder)
    later.refresh()
    keep(later, 1, still("a"), at(9))
    later.close()
    assert soon(lambda: set(copies(ledger)) == {"up-1", "up-2", "up-4"})
    assert running.alarm() is None


def test_a_sweep_that_is_stopped_goes_on_where_it_was(
    running: Sweeper, ledger: Ledger, removed: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sweeping, "_KEEP_EVERY", 1)
    told: list[tuple[int, int]] = []

    def stop(done: int, total: int) -> bool:
        told.append((done, total))
        return done < 3

    monkeypatch.setattr(running, "_tell", stop)
    first = running.step()
    assert first is not None
    assert (first.whole, first.compared, told) == (False, 3, [(1, 4), (2, 4), (3, 4)])
    assert set(copies(ledger)) == {"up-2"}
    reached = ledger.transact(lambda c: find_notice(c, removed)).swept_to
    assert reached == at(2).isoformat()
    monkeypatch.setattr(running, "_tell", lambda *_: True)
    second = running.step()
    assert second is not None
    # What was compared last is compared again; nothing is left out, and nothing found twice.
    assert (second.whole, second.compared, second.found) == (True, 2, 1)
    assert set(copies(ledger)) == {"up-2", "up-4"}


def test_a_sweep_that_fails_or_lasts_is_told_on_every_page(
    running: Sweeper, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = module.now

    def away() -> Catalogue:
        msg = "the catalogue is away"
        raise OSError(msg)

    monkeypatch.setattr(running, "_open", away)
    assert running.step() is None
    assert running.alarm() is None
    monkeypatch.setattr(module, "now", lambda: real() + timedelta(minutes=11))
    alarm = running.alarm()
    assert alarm is not None
    assert "OSError: the catalogue is away" in alarm.what
    assert alarm.name in NAMES
    monkeypatch.undo()
    assert running.step() is not None
    assert running.alarm() is None


def test_the_console_names_what_a_sweep_needs(tmp_path: Path, ledger: Ledger) -> None:
    def said(settings: str) -> str:
        file = tmp_path / "quorum.yaml"
        file.write_text(settings)
        words = ["console", "--sweep-seconds", "60", "--settings", str(file), "--port", "0"]
        url = ["--database", f"sqlite:///{tmp_path}/other.db"]
        with Ledger(url[1], create=True):
            pass
        done = CliRunner().invoke(app, [*words, *url])
        assert done.exit_code != 0
        return done.output + str(done.exception)

    assert "name the catalogue that keeps uploads" in said("policy: balanced\n")
    Catalogue(tmp_path / "empty").close()
    assert "quorum catalogue keep --days 365" in said(f"catalogue: {tmp_path}/empty\n")
