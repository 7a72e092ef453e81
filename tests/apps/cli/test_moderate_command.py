from __future__ import annotations

import gzip
import json
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from quorum.apps.cli.moderate import app
from quorum.core.errors import InputError
from quorum.core.messages import Prediction, Verdict
from quorum.models.ensemble import Ensemble
from tests.apps.web.doubles import POLICY, Slow, Words
from tests.pipeline.batch.runs import spec


@pytest.fixture(autouse=True)
def _with_doubles(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(
        "quorum.pipeline.moderator.ensemble_of", lambda *_: spec(Ensemble.of([Words(), Slow()]))
    )
    monkeypatch.setattr("quorum.apps.cli.options.configure_logs", lambda *_: None)
    (tmp_path / "p.yaml").write_text(POLICY.text)
    monkeypatch.chdir(tmp_path)


def line(number: int, title: str) -> str:
    return (
        f'{{"id": "u{number}", "uploader": "b", "title": "{title}", '
        '"published_at": "2026-01-31T12:00:00Z"}\n'
    )


def test_verdicts_come_in_the_order_of_the_file() -> None:
    Path("in.jsonl").write_text("".join(line(n, "bad" if n % 2 else "ok") for n in range(150)))
    args = ["in.jsonl", "--policy", "p.yaml", "--output", "o.jsonl", "--predictions", "p.jsonl"]
    assert CliRunner().invoke(app, args, catch_exceptions=False).exit_code == 0
    made = [Verdict.from_bytes(one) for one in Path("o.jsonl").read_bytes().splitlines()]
    assert [one.upload_id for one in made] == [f"u{n}" for n in range(150)]
    assert [one.action for one in made[:2]] == ["allow", "remove"]
    said = [Prediction.from_bytes(one) for one in Path("p.jsonl").read_bytes().splitlines()]
    assert len(said) == 300


def test_bad_lines_are_told_and_take_no_other_with_them() -> None:
    to_come = line(3, "ok").replace("2026", "2099")
    Path("in.jsonl").write_text(line(1, "ok") + "no json\n\n" + to_come + line(2, "bad"))
    args = ["in.jsonl", "--policy", "p.yaml", "--output", "o.jsonl"]
    with pytest.raises(InputError, match=r"2 lines of in\.jsonl"):
        CliRunner().invoke(app, args, catch_exceptions=False)
    assert len(Path("o.jsonl").read_bytes().splitlines()) == 2


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_a_file_of_another_encoding_compressed(encoding: str) -> None:
    text = "".join(line(n, "bad" if n % 2 else "ok") for n in range(3))
    Path("in.jsonl").write_bytes(gzip.compress(text.encode(encoding)))
    args = ["in.jsonl", "--policy", "p.yaml", "--output", "o.jsonl"]
    assert CliRunner().invoke(app, args, catch_exceptions=False).exit_code == 0
    made = [Verdict.from_bytes(one) for one in Path("o.jsonl").read_bytes().splitlines()]
    assert [one.action for one in made] == ["allow", "remove", "allow"]


def test_a_file_that_is_not_there() -> None:
    with pytest.raises(InputError, match="No such file"):
        CliRunner().invoke(app, ["none.jsonl", "--policy", "p.yaml"], catch_exceptions=False)


def test_a_policy_in_shadow_is_told_and_never_acts() -> None:
    Path("mild.yaml").write_text(
        POLICY.text.replace("name: words", "name: mild").replace("action: remove", "action: review")
    )
    Path("in.jsonl").write_text(line(1, "bad") + line(2, "fine"))
    args = ["in.jsonl", "--policy", "p.yaml", "--shadow-policy", "mild.yaml"]
    args += ["--shadow-policy", "p.yaml", "--output", "o.jsonl"]
    assert CliRunner().invoke(app, args, catch_exceptions=False).exit_code == 0
    bad, fine = (json.loads(one) for one in Path("o.jsonl").read_bytes().splitlines())
    assert (bad["action"], fine["action"]) == ("remove", "allow")
    assert [one["action"] for one in bad["shadow_policies"]] == ["review", "remove"]
    assert [one["action"] for one in fine["shadow_policies"]] == ["allow", "allow"]
    assert bad["shadow_policies"][0]["policy_version"].startswith("mild@")


def test_deciding_in_this_process_imports_no_beam() -> None:
    """Beam costs two seconds of processor time and 150 MiB in each process of them."""
    code = (
        "import sys, quorum.apps.web.app, quorum.pipeline.moderator\n"
        "assert 'apache_beam' not in sys.modules"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()
