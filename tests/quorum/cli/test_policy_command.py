import json

import pytest
from typer.testing import CliRunner

from aggregator.policy import load_policy
from quorum.cli.policy import app
from quorum.errors import InputError, PolicyError

UPLOAD = {"id": "u1", "uploader": "ann", "title": "Hi <b>", "published_at": "2026-01-01T00:00:00Z"}


def run(*words):
    result = CliRunner().invoke(app, list(words), env={"COLUMNS": "200", "TERM": "dumb"})
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


@pytest.fixture
def cases(tmp_path):
    file = tmp_path / "cases.jsonl"
    lines = []
    for number, spam in enumerate((0.01, 0.6, 0.96, 0.99)):
        predictions = [
            {"detector": "spam", "score": spam},
            {"detector": "violence", "score": 0.0},
            {"detector": "copyright", "status": "abstained", "reason": "no media"},
        ]
        facts = {**UPLOAD, "id": f"u{number}"}
        lines.append(json.dumps({"upload": facts, "predictions": predictions, "action": "allow"}))
    file.write_text("\n".join(lines) + "\n")
    return file


def test_list_show_and_schema():
    assert "balanced@" in run("list").stdout
    assert run("show", "strict").stdout == load_policy("strict").text
    assert json.loads(run("schema").stdout)["title"] == "Quorum policy"


def test_check(tmp_path):
    assert "0 errors" in run("check", "balanced").stdout
    file = tmp_path / "mine.yaml"
    file.write_text(load_policy("balanced").text.replace('("spam") >= 0.98', '("spam") >= 1.5'))
    result = run("check", str(file))
    assert result.exit_code == 1
    assert "rule spam-certain: can never apply" in result.stdout
    file.write_text(load_policy("balanced").text.replace('score("spam")', 'score("spma")', 1))
    with pytest.raises(PolicyError, match="did you mean `spam`"):
        run("check", str(file))


def test_golden_cases(tmp_path):
    assert "17 of 17" in run("test", "balanced").stdout
    file = tmp_path / "mine.yaml"
    file.write_text(load_policy("balanced").text)
    beside = tmp_path / "mine.cases.yaml"
    beside.write_text("- {name: Wrong, scores: {spam: 1, violence: 0}, expect: allow}")
    result = run("test", str(file))
    assert result.exit_code == 1
    assert "expected allow, is remove" in result.stdout


def test_explain(cases):
    out = run("explain", "--score", "spam=0.9", "--score", "violence=0", "--score", "copyright=0")
    assert "review, decided by spam-likely" in out.stdout
    assert "if spam had scored just under 0.85 instead of 0.9" in out.stdout
    assert "restrict" in run("explain", "u1", "--cases", str(cases)).stdout
    with pytest.raises(InputError, match="no case of the upload"):
        run("explain", "nobody", "--cases", str(cases))
    with pytest.raises(InputError, match="name an upload"):
        run("explain")
    with pytest.raises(InputError, match="is no score"):
        run("explain", "--score", "spam")


def test_diff(cases):
    out = run("diff", "balanced", "strict", "--cases", str(cases)).stdout
    assert "The rule spam-certain applies when" in out
    assert "4 cases decided again; 1 actions change" in out
    assert "They say the same" in run("diff", "strict", "strict").stdout


def test_backtest_with_its_page(cases, tmp_path):
    page = tmp_path / "page.html"
    out = run("backtest", "strict", "--cases", str(cases), "--report", str(page), "--workers", "1")
    assert "3 actions change" in out.stdout
    text = page.read_text()
    assert "spam-certain" in text
    assert "Hi &lt;b&gt;" in text
    assert "<b>" not in text
    with pytest.raises(InputError, match="cannot read the cases"):
        run("backtest", "strict", "--cases", "nothere.jsonl")
    with pytest.raises(InputError, match="name past cases"):
        run("backtest", "strict")


def test_cases_come_from_the_ledger(tmp_path):
    from quorum.ledger import Ledger
    from quorum.messages import Prediction, Upload, Verdict

    url = f"sqlite:///{tmp_path / 'ledger.db'}"
    when = "2026-01-01T00:00:00Z"
    with Ledger(url, create=True) as ledger:
        ledger.record_uploads([Upload.model_validate(UPLOAD)])
        ledger.record_predictions(
            [
                Prediction(
                    id="p",
                    upload_id="u1",
                    detector="spam",
                    version="1",
                    status="scored",
                    score=0.9,
                    at=when,
                )
            ]
        )
        ledger.record_verdicts(
            [
                Verdict(
                    id="v",
                    upload_id="u1",
                    action="review",
                    revision=1,
                    policy_version="x",
                    rule="y",
                    reasons=("z",),
                    decided_by="policy",
                    at=when,
                    latency=0,
                )
            ]
        )
    (line,) = run("cases", "--database", url).stdout.splitlines()
    assert json.loads(line)["predictions"][0]["score"] == 0.9
    assert "review" in run("explain", "u1", "--database", url).stdout
    assert "1 cases" in run("backtest", "balanced", "--database", url, "--workers", "1").stdout
