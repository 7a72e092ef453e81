"""Legal holds in the console and on the command line, with the audit log that shows them."""

from __future__ import annotations

import pytest
from sqlalchemy import update
from typer.testing import CliRunner

from quorum.apps.cli.ledger import app
from quorum.apps.console.accounts import audit
from quorum.store.ledger import Ledger
from quorum.store.ledger.holds_schema import holds


def run(*args: str) -> str:
    done = CliRunner().invoke(app, args, catch_exceptions=False, terminal_width=200)
    assert done.exit_code == 0, done.output
    return done.output


def test_a_lead_holds_a_case_and_its_page_shows_it(console, cases: Ledger) -> None:
    lea, eve = console("lea"), console("eve")
    assert eve.post("/holds", kind="upload", subject="up-1", why="x").status_code == 403
    assert lea.post("/holds", kind="upload", subject="up-1", why=" ").status_code == 422
    page = lea.post("/holds", kind="upload", subject="up-1", why="court file 7").text
    assert "in force" in page
    assert "court file 7" in eve.get("/case/law?upload=up-1").text
    assert "Legal hold" not in eve.get("/case/law?upload=up-2").text
    assert cases.forget("by-1").rows.held == ("up-1",)
    events = [one.event for one in audit.newest(cases)]
    assert "hold.placed" in events
    assert all("court" not in one.details for one in audit.newest(cases))
    assert audit.verify(cases).broken is None


def test_a_hold_that_is_changed_past_the_log_is_noticed(console, cases: Ledger) -> None:
    console("lea").post("/holds", kind="upload", subject="up-1", why="court file 7")
    cases.transact(lambda c: c.execute(update(holds).values(subject="up-2")), writes=True)
    assert "was changed" in str(audit.verify(cases).broken)
    cases.transact(lambda c: c.execute(holds.delete()), writes=True)
    assert "was deleted" in str(audit.verify(cases).broken)


def test_hold_forget_release_on_the_command_line(
    cases: Ledger, tmp_path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("QUORUM_DATABASE", f"sqlite:///{tmp_path}/console.db")
    held = run(
        "hold", "--upload", "up-4", "--why", "file 9", "--by", "lea", "--until", "2999-01-31"
    )
    assert "until 2999-01-31" in held
    assert "no such uploader yet" in run("hold", "--uploader", "nobody", "--why", "file 9")
    assert "lea" in run("holds")
    told = run("forget", "by-1", "--yes")
    assert "1 uploads stay" in told
    assert "held: up-4" in told
    name = held.split()[1].rstrip(":")
    told = run("release", name, "--why", "closed")
    assert "quorum ledger forget by-1 --yes" in told
    assert "held" not in run("forget", "by-1", "--yes")
    assert cases.get_case("up-4") is None
    assert "released" in run("holds", "--all")
    assert audit.verify(cases).broken is None
