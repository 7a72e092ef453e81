"""``quorum sealed`` and ``quorum hashes`` on a ledger."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from quorum.apps.cli.hashes import app as hashes
from quorum.apps.cli.sealed import app as sealed
from quorum.apps.console.desk import sealed as desk
from quorum.core.errors import ConfigurationError, InputError
from quorum.store.ledger import Ledger
from tests.store.ledger.messages_for_ledger import upload, verdict

MD5 = "0cc175b9c0f1b6a831c399e269772661"


@pytest.fixture
def url(tmp_path: Path) -> str:
    made = f"sqlite:///{tmp_path}/l.db"
    with Ledger(made, create=True) as ledger:
        ledger.record([upload(1), verdict(1)])
    return made


def run(app: object, *given: str) -> str:
    answer = CliRunner().invoke(app, list(given))  # type: ignore[arg-type]
    if answer.exception is not None and not isinstance(answer.exception, SystemExit):
        raise answer.exception
    return answer.output


def test_a_case_from_the_seal_to_its_report(url: str, tmp_path: Path) -> None:
    at = ("--database", url, "--by", "sam")
    name = upload(1).id
    made = run(sealed, "seal", name, *at).split()[-1]
    with pytest.raises(InputError, match="sealed already"):
        run(sealed, "seal", name, *at)
    assert "report by" in run(sealed, "list", "--database", url)
    with Ledger(url) as ledger:
        desk.confirm(ledger, made, "sam", viewed=False)
    settings = tmp_path / "quorum.yaml"
    settings.write_text("child_safety: {reporter: {email: safety@example.org}}")
    with pytest.raises(ConfigurationError, match="--out FOLDER"):
        run(sealed, "report", made, *at, "--settings", str(settings))
    out = tmp_path / "reports"
    run(sealed, "report", made[:10], *at, "--settings", str(settings), "--out", str(out))
    assert (out / made / "report.xml").is_file()
    assert "kept against erasure until" in run(sealed, "reported", made, "--number", "5", *at)
    told = json.loads(run(sealed, "show", made, "--database", url))
    events = [one["event"] for one in told["log"]]
    assert events == ["sealed", "confirmed", "packaged", "reported"]
    assert "kept until" in run(sealed, "list", "--all", "--database", url)
    table = tmp_path / "sealed.csv"
    run(sealed, "export", "--out", str(table), "--database", url)
    assert made in table.read_text()
    with pytest.raises(InputError, match="no sealed case"):
        run(sealed, "show", "nothing", "--database", url)


def test_lists_are_imported_replaced_and_hashes_denied(url: str, tmp_path: Path) -> None:
    file = tmp_path / "police.txt"
    file.write_text(f"md5:{MD5}\nsha1:{'b' * 40}\n")
    at = ("--database", url)
    assert "2 hashes of police: 2 new" in run(hashes, "import", str(file), *at)
    file.write_text(f"md5:{MD5}\n")
    assert "0 new, 1 forgotten" in run(hashes, "import", str(file), "--replace", *at)
    run(hashes, "deny", f"md5:{MD5}", "--why", "a blank picture", "--by", "sam", *at)
    told = run(hashes, "list", *at)
    assert f"denied    md5:{MD5}  by sam" in told and "police" in told
    run(hashes, "forget", f"md5:{MD5}", "--why", "a mistake", *at)
    with pytest.raises(InputError, match="nothing is said"):
        run(hashes, "forget", f"md5:{MD5}", "--why", "again", *at)
    with pytest.raises(ConfigurationError, match="name no exchange: set"):
        run(hashes, "pull", *at)
    settings = tmp_path / "quorum.yaml"
    settings.write_text("hashes: {exchanges: {stop: {kind: stopncii}}}")
    with pytest.raises(ConfigurationError, match="no exchange ncmec; there are stop"):
        run(hashes, "pull", "ncmec", "--settings", str(settings), *at)
    given = ("share", f"md5:{MD5}", "stop", "--settings", str(settings), *at)
    assert "queued for stop" in run(hashes, *given)
    assert "was queued before" in run(hashes, *given)
    assert "stop: pulled never, 1 to push" in run(hashes, "list", *at)


def test_a_file_is_checked_against_a_list(tmp_path: Path) -> None:
    film = Path(__file__).parents[3] / "examples" / "media" / "lights.mp4"
    printed = run(hashes, "check", str(film))
    assert "nothing was compared" in printed
    md5 = next(line for line in printed.splitlines() if line.startswith("md5:"))
    (tmp_path / "list.txt").write_text(f"{md5}\n")
    settings = tmp_path / "quorum.yaml"
    settings.write_text(f"hashes: {{lists: [{{file: {tmp_path}/list.txt}}]}}")
    told = run(hashes, "check", str(film), "--settings", str(settings))
    assert f"{md5}: the same file, listed by list as csam" in told
    assert "hashes/csam, hashes/csam/exact" in told
    (tmp_path / "damaged.mp4").write_bytes(b"no film")
    damaged = hashlib.md5(b"no film").hexdigest()
    (tmp_path / "list.txt").write_text(f"md5:{damaged}\n")
    told = run(hashes, "check", str(tmp_path / "damaged.mp4"), "--settings", str(settings))
    assert f"md5:{damaged}: the same file, listed by list as csam" in told
