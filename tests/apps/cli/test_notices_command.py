"""``quorum notices``: lists with clocks, one with its log, exports without who sent them."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

from quorum.apps.cli import notices as command
from quorum.apps.cli.app import app
from quorum.store.ledger import Ledger
from quorum.store.notices.intake import NoticeIntake
from quorum.store.notices.reading import COLUMNS
from tests.store.ledger.messages_for_ledger import upload, verdict
from tests.store.notices.test_validity import WHOLE


@pytest.fixture
def url(tmp_path: Path) -> str:
    made = f"sqlite:///{tmp_path}/l.db"
    with Ledger(made, create=True) as ledger:
        ledger.record([upload(1), verdict(1)])
        NoticeIntake(ledger).take(replace(WHOLE, kind="intimate"))
        NoticeIntake(ledger).take(replace(WHOLE, accurate=False))
    return made


def run(*words: str, code: int = 0) -> str:
    done = CliRunner().invoke(app, list(words))
    assert done.exit_code == code, done.output + str(done.exception)
    return done.output


def test_notices_are_listed_shown_exported_and_their_senders_erased(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    listed = run("notices", "list", "--database", url)
    assert "intimate   received   due" in listed and "1 notices" in listed
    late = command.now().replace(year=command.now().year + 1)
    monkeypatch.setattr(command, "now", lambda: late)
    assert "OVERDUE" in run("notices", "list", "--database", url)
    every = run("notices", "list", "--all", "--kind", "copyright", "--database", url)
    assert "copyright  invalid" in every
    notice = listed[:12]
    shown = run("notices", "show", notice, "--database", url)
    assert "received" in shown and "clock" in shown
    told = json.loads(run("notices", "show", notice, "--json", "--database", url))
    assert told["log"][0]["lacks"] == []
    run("notices", "export", "--out", str(tmp_path / "n.csv"), "--database", url)
    rows = list(csv.reader((tmp_path / "n.csv").open(encoding="utf-8-sig", newline="")))
    assert tuple(rows[0]) == COLUMNS and len(rows) == 3
    run("notices", "export", "--out", str(tmp_path / "n.jsonl"), "--database", url)
    text = (tmp_path / "n.jsonl").read_text()
    assert len(text.splitlines()) == 2
    assert not any("Lovelace" in part for part in (listed, shown, text, str(rows)))
    assert "would go" in run("ledger", "forget", "--notice", notice, "--database", url)
    assert "erased who" in run("ledger", "forget", "--notice", notice, "--yes", "--database", url)
    assert "already" in run("ledger", "forget", "--notice", notice, "--database", url)


@pytest.mark.parametrize(
    "words",
    [
        ("notices", "list", "--kind", "other"),
        ("notices", "show", "nothing-like-it"),
        ("notices", "export", "--out", "x.xml"),
        ("ledger", "forget"),
        ("ledger", "forget", "someone", "--notice", "x"),
    ],
)
def test_bad_usage_says_what_to_do(url: str, words: tuple[str, ...]) -> None:
    done = CliRunner().invoke(app, [*words, "--database", url])
    assert done.exit_code != 0
    assert any(
        part in str(done.exception) + done.output
        for part in ("there are", "quorum notices list", ".jsonl", "either UPLOADER")
    )
