"""What somebody with the database alone changes is found by ``quorum audit verify`` alone."""

from __future__ import annotations

import sqlite3
from datetime import timedelta
from pathlib import Path

import pytest
from typer.testing import CliRunner

from quorum.apps.cli.audit import AuditBroken
from quorum.apps.cli.audit import app as command
from quorum.apps.console.accounts import audit
from quorum.apps.console.accounts.anchors import AnchorWriter, read_anchors
from quorum.apps.console.accounts.audit_key import AuditKey, audit_key
from quorum.apps.console.desk import claims, decisions
from quorum.apps.console.desk.queues import Queue
from quorum.core.errors import ConfigurationError
from quorum.core.messages import Action
from quorum.store.ledger import Ledger
from quorum.store.ledger.schema import cases as case_table


@pytest.fixture
def keyed(cases: Ledger, tmp_path: Path, monkeypatch) -> Ledger:
    """A ledger whose audit log is keyed and anchored, with a decision in it."""
    (tmp_path / "key").write_text(AuditKey.new().text)
    (tmp_path / "key").chmod(0o600)
    monkeypatch.setenv("QUORUM_AUDIT_KEY_FILE", str(tmp_path / "key"))
    monkeypatch.setenv("QUORUM_AUDIT_ANCHORS", str(tmp_path / "anchors.jsonl"))
    audit.begin_keyed(cases, "test")
    decide(cases)
    AnchorWriter(cases, tmp_path / "anchors.jsonl", audit_key()).step()
    assert "not checked" not in verified(tmp_path)
    return cases


def decide(ledger: Ledger) -> None:
    task = claims.claim_next(ledger, Queue(), "ana")
    decisions.decide(ledger, task.id, "ana", Action.ALLOW, None, "fine", timedelta(0))


def verified(folder: Path, **environment: str) -> str:
    arguments = ["verify", "--database", f"sqlite:///{folder}/console.db"]
    done = CliRunner().invoke(command, arguments, catch_exceptions=False, env=environment)
    return done.output


def change(folder: Path, *statements: str) -> None:
    with sqlite3.connect(folder / "console.db") as database:
        for name in ("update", "delete"):
            database.execute(f"DROP TRIGGER IF EXISTS audit_log_no_{name}")
        for statement in statements:
            database.execute(statement)


def rechained(ledger: Ledger, folder: Path, *, keep_mac: bool) -> None:
    """Write the chain anew, as somebody without the key can."""
    head = audit.GENESIS
    with sqlite3.connect(folder / "console.db") as database:
        names = ", ".join(audit.AuditEntry.__slots__)
        rows = database.execute(f"SELECT {names} FROM audit_log ORDER BY number").fetchall()
        for row in rows:
            entry = audit.AuditEntry(*row[:6], head, "", row[8])
            head = entry.expected()
            mac = entry.mac if keep_mac else None
            database.execute(
                "UPDATE audit_log SET previous=?, digest=?, mac=? WHERE number=?",
                (entry.previous, head, mac, entry.number),
            )


@pytest.mark.parametrize(
    ("statement", "found"),
    [
        ("UPDATE users SET role='admin' WHERE name='eve'", "user eve is not what"),
        ("UPDATE users SET disabled=1 WHERE name='max'", "user max is not what"),
        ("UPDATE users SET password=(SELECT password FROM users LIMIT 1)", "is not what"),
        (
            "INSERT INTO users SELECT 'mal','admin',password,created_at,0,NULL FROM users LIMIT 1",
            "user mal was added by no line",
        ),
        ("DELETE FROM users WHERE name='aud'", "user aud was deleted"),
        ("UPDATE decisions SET action='remove'", "was changed"),
        ("UPDATE decisions SET reviewer='ben'", "was changed"),
        ("UPDATE decisions SET note='guilty'", "was changed"),
        ("UPDATE decisions SET state='undone'", "the state of the decision"),
        ("UPDATE decisions SET id='other'", "was made by no line"),
        ("DELETE FROM decisions", "a decision on up-"),
        (
            "DELETE FROM audit_log WHERE number=(SELECT max(number) FROM audit_log)",
            "the log was cut short",
        ),
        ("DELETE FROM audit_log", "the log was cut short"),
        ("UPDATE audit_log SET mac=NULL", r"is keyed|no code of the key"),
    ],
)
def test_edits_are_found(keyed, tmp_path, statement, found):
    change(tmp_path, "PRAGMA ignore_check_constraints=1", statement)
    with pytest.raises(AuditBroken, match=found):
        verified(tmp_path)


@pytest.mark.parametrize("keep_mac", [True, False])
def test_a_chain_written_anew_is_found(keyed, tmp_path, keep_mac, monkeypatch):
    monkeypatch.delenv("QUORUM_AUDIT_ANCHORS")
    change(tmp_path, "UPDATE audit_log SET actor='ben' WHERE event='case.decided'")
    rechained(keyed, tmp_path, keep_mac=keep_mac)
    with pytest.raises(AuditBroken, match=r"not written with this key|no line is keyed"):
        verified(tmp_path)


def test_without_the_key_it_says_what_is_not_checked(keyed, tmp_path, monkeypatch):
    monkeypatch.delenv("QUORUM_AUDIT_KEY_FILE")
    monkeypatch.delenv("QUORUM_AUDIT_ANCHORS")
    told = verified(tmp_path)
    assert "not checked: its key was not given" in told
    assert "not checked: there is no anchor" in told
    with pytest.raises(ConfigurationError, match="is keyed"):
        decide(keyed)
    monkeypatch.setenv("QUORUM_AUDIT_KEY", AuditKey.new().text)
    with pytest.raises(AuditBroken, match="not written with this key"):
        verified(tmp_path)


def test_forged_anchors_are_found(keyed, tmp_path):
    file = tmp_path / "anchors.jsonl"
    (made,) = read_anchors(file)
    assert file.stat().st_mode & 0o777 == 0o600
    line = file.read_text()
    file.write_text(line.replace(made.at, "2020-01-01T00:00:00.000Z"))
    with pytest.raises(AuditBroken, match="was not made here"):
        verified(tmp_path)


def test_retention_takes_decisions_with_their_cases(keyed, tmp_path):
    change(tmp_path, "DELETE FROM decisions")
    keyed.transact(lambda c: c.execute(case_table.delete()), writes=True)
    assert "is whole" in verified(tmp_path)


def test_rows_of_earlier_versions_are_adopted(cases, tmp_path, monkeypatch):
    decide(cases)
    # As version 0.2 wrote them: lines without the digests of their rows.
    change(
        tmp_path,
        """UPDATE audit_log SET details = json_remove(details, '$.row', '$.decision')""",
    )
    rechained(cases, tmp_path, keep_mac=False)
    assert "8 users and decisions are of versions" in verified(tmp_path)
    monkeypatch.setenv("QUORUM_AUDIT_KEY", AuditKey.new().text)
    with pytest.raises(AuditBroken, match="no line is keyed"):
        verified(tmp_path)
    url = f"sqlite:///{tmp_path}/console.db"
    done = CliRunner().invoke(command, ["adopt", "--database", url], catch_exceptions=False)
    assert "8 more users and decisions" in done.output
    assert "users and decisions" not in verified(tmp_path)
    change(tmp_path, "UPDATE users SET role='admin' WHERE name='eve'")
    with pytest.raises(AuditBroken, match="user eve"):
        verified(tmp_path)


def test_the_console_anchors_and_says_what_is_not_protected(
    serve, cases, tmp_path, monkeypatch, caplog
):
    from quorum.apps.cli.console import _tell_unprotected

    _tell_unprotected(demo=False)
    assert len(caplog.records) == 1
    assert "has no key" in caplog.text
    assert "can be cut short" in caplog.text
    monkeypatch.setenv("QUORUM_AUDIT_KEY", AuditKey.new().text)
    monkeypatch.setenv("QUORUM_AUDIT_ANCHORS", str(tmp_path / "anchors.jsonl"))
    caplog.clear()
    _tell_unprotected(demo=False)
    assert not caplog.records
    people = serve()
    assert "Intact" in people("aud").post("/audit/verify").text
    from tests.apps.console.conftest import soon

    soon(lambda: read_anchors(tmp_path / "anchors.jsonl"))
    change(tmp_path, "DELETE FROM audit_log WHERE number > 2")
    assert "cut short" in people("root").post("/audit/verify").text


def test_keys_are_made_and_told_apart(tmp_path, monkeypatch):
    done = CliRunner().invoke(command, ["new-key", "--to", str(tmp_path / "k")])
    assert done.exit_code == 0
    monkeypatch.setenv("QUORUM_AUDIT_KEY_FILE", str(tmp_path / "k"))
    assert (tmp_path / "k").stat().st_mode & 0o777 == 0o600
    assert audit_key() is not None
    assert "secret" not in repr(audit_key())
    monkeypatch.setenv("QUORUM_AUDIT_KEY", "audit:short")
    with pytest.raises(ConfigurationError, match="both set"):
        audit_key()
    monkeypatch.delenv("QUORUM_AUDIT_KEY_FILE")
    with pytest.raises(ConfigurationError, match="must read"):
        audit_key()
