from __future__ import annotations

import logging
import os
import stat
from pathlib import Path

import pytest

from quorum.apps.http.keys import new_key, read_keys
from quorum.core.identity.signing import SigningKey
from quorum.core.private_files import create_private
from quorum.store.ledger import Ledger


@pytest.fixture(autouse=True)
def usual_umask():
    before = os.umask(0o022)
    yield
    os.umask(before)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_a_ledger_is_for_its_owner_alone(tmp_path, caplog):
    with Ledger(f"sqlite:///{tmp_path}/l.db", create=True) as ledger:
        assert ledger.revision()
        for path in tmp_path.iterdir():  # the database, and what SQLite writes beside it
            assert mode(path) == 0o600
    with Ledger(f"sqlite:///{tmp_path}/l.db"):
        assert "chmod" not in caplog.text


def test_a_ledger_that_others_may_read_is_warned_of_once(tmp_path, caplog):
    url = f"sqlite:///{tmp_path}/l.db"
    Ledger(url, create=True).close()
    (tmp_path / "l.db").chmod(0o644)
    with caplog.at_level(logging.WARNING):
        Ledger(url).close()
        Ledger(url).close()
    assert caplog.text.count("has the mode 0644") == 1
    assert mode(tmp_path / "l.db") == 0o644


def test_key_files_that_others_may_read_are_warned_of(tmp_path, caplog, monkeypatch):
    secret, line = new_key("platform", frozenset({"moderate"}))
    (tmp_path / "keys.txt").write_text(line)
    (tmp_path / "signing").write_text(SigningKey.new("quorum", "k1").text)
    (tmp_path / "keys.txt").chmod(0o640)
    (tmp_path / "signing").chmod(0o604)
    monkeypatch.setenv("QUORUM_SIGNING_KEY_FILE", str(tmp_path / "signing"))
    with caplog.at_level(logging.WARNING):
        read_keys(tmp_path / "keys.txt")
        assert SigningKey.from_environment()
    assert "has the mode 0640" in caplog.text
    assert "has the mode 0604" in caplog.text
    assert secret not in caplog.text


def test_a_file_that_is_there_is_left_alone(tmp_path):
    path = tmp_path / "x"
    assert create_private(path)
    path.write_text("kept")
    assert not create_private(path)
    assert path.read_text() == "kept"
