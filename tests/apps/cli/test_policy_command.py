import json
import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

from quorum.aggregator.policy.policy import load_policy
from quorum.apps.cli.policy import app
from quorum.core.errors import ConfigurationError, InputError, PolicyError
from quorum.store.ledger import Ledger

GUIDE = (Path(__file__).parents[3] / "docs" / "policy.md").read_text(encoding="utf-8")
#: The keys of each verb's object, as the guide says.
GUIDE_JSON = {
    verb: set(re.findall(r"`([a-z_.]+)`", keys))
    for verb, keys in re.findall(
        r"(?m)^\| `([a-z-]+)` \| (.*) \|$", GUIDE.partition("## For scripts")[2]
    )
}

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
    assert "28 of 28" in run("test", "balanced").stdout
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
    assert "The policies have the same content" in run("diff", "strict", "strict").stdout
    short = run("diff", "balanced", "strict", "--short").stdout
    assert "- rule spam-certain: threshold 0.98 -> 0.95; another reason\n" in short


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
    from quorum.core.messages import Prediction, Upload, Verdict
    from quorum.store.ledger import Ledger

    url = f"sqlite:///{tmp_path / 'ledger.db'}"
    when = "2026-01-01T00:00:00Z"
    with Ledger(url, create=True) as ledger:
        ledger.record([Upload.model_validate(UPLOAD)])
        ledger.record(
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
        ledger.record(
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


def reviewed_cases(file, count=400):
    lines = []
    for number in range(count):
        score = number / count
        predictions = [
            {"detector": "spam", "score": score, "version": "1"},
            {"detector": "violence", "score": 0.1, "version": "1"},
            {"detector": "spam", "score": 0.99, "version": "2", "shadow": True},
        ]
        review = "remove" if score > 0.5 else "allow"
        facts = {**UPLOAD, "id": f"u{number}"}
        lines.append(json.dumps({"upload": facts, "predictions": predictions, "review": review}))
    file.write_text("\n".join(lines))
    return str(file)


def test_tune(tmp_path):
    file = reviewed_cases(tmp_path / "reviewed.jsonl")
    out = run("tune", "balanced", "--score", "spam", "--bound", "0.05", "--cases", file).stdout
    assert 'when: score("spam") >= 0.4' in out or 'when: score("spam") >= 0.5' in out
    few = run("tune", "balanced", "--score", "spam", "--bound", "0.001", "--cases", file)
    assert few.exit_code == 1
    assert "more reviewed cases" in few.stdout


def test_fit_prints_what_a_policy_takes(tmp_path):
    file = reviewed_cases(tmp_path / "reviewed.jsonl")
    out = run("fit", "--score", "spam", "--score", "violence", "--cases", file).stdout
    policy = tmp_path / "mine.yaml"
    policy.write_text(load_policy("balanced").text + "\n" + out)
    assert load_policy(policy).combiners["risk"].weights["spam"] > 0


def test_drift(tmp_path):
    file = reviewed_cases(tmp_path / "reviewed.jsonl")
    saved = tmp_path / "reference.json"
    run("drift", "--cases", file, "--save", str(saved))
    same = run("drift", "--cases", file, "--reference", str(saved))
    assert same.exit_code == 0
    assert "0.000" in same.stdout
    other = tmp_path / "other.jsonl"
    other.write_text(
        (tmp_path / "reviewed.jsonl").read_text().replace('"score": 0.1,', '"score": 0.95,')
    )
    moved = run("drift", "--cases", str(other), "--reference", str(saved))
    assert moved.exit_code == 1
    assert "alarm" in moved.stdout
    with pytest.raises(InputError, match="name a --reference"):
        run("drift", "--cases", file)


def test_compare_shadow(tmp_path):
    file = reviewed_cases(tmp_path / "reviewed.jsonl")
    out = run("compare-shadow", "balanced", "--cases", file).stdout
    assert "spam 2 in shadow: 400 cases" in out
    assert "would be remove instead of" in out


def test_statements_of_what_the_ledger_holds(tmp_path):
    from quorum.core.messages import Upload, Verdict
    from quorum.store.ledger import Ledger

    url = f"sqlite:///{tmp_path / 'ledger.db'}"
    version = load_policy("balanced").version
    shared = {
        "action": "remove",
        "revision": 1,
        "rule": "spam-certain",
        "category": "spam",
        "reasons": ("z",),
        "decided_by": "policy",
        "at": "2026-01-01T00:00:00Z",
        "latency": 0,
    }
    with Ledger(url, create=True) as ledger:
        ledger.record([Upload.model_validate({**UPLOAD, "id": n}) for n in ("u1", "u2")])
        ledger.record(
            [
                Verdict(id="v1", upload_id="u1", policy_version=version, **shared),
                Verdict(id="v2", upload_id="u2", policy_version="older@1", **shared),
            ]
        )
    result = run("statements", "balanced", "--database", url)
    (line,) = result.stdout.splitlines()
    (record,) = json.loads(line)["statements"]
    assert record["puid"] == "v1"
    assert "1 verdicts were skipped" in result.stderr
    told = run("statements", "balanced", "--database", url, "--text", "--language", "de").stdout
    assert told.startswith("Wir haben Ihren Upload entfernt.")
    for language in ("ge", "fr", "", "../en"):
        with pytest.raises(InputError, match="there are: de, en"):
            run("statements", "balanced", "--database", url, "--text", "--language", language)
    words = ["statements", "balanced", "--database", url, "--json", "--language", "de-AT"]
    made = json.loads(run(*words).stdout)
    assert (made["skipped"], len(made["statements"])) == (1, 1)
    assert made["statements"][0]["text"].startswith("Wir haben")
    assert made["statements"][0]["record"] == record


def test_an_uploaders_history_is_told_as_it_stood(tmp_path):
    from datetime import UTC, datetime, timedelta

    from quorum.core.messages import Prediction, Upload, Verdict
    from quorum.store.ledger import Ledger

    url = f"sqlite:///{tmp_path / 'ledger.db'}"
    start = datetime(2026, 1, 1, tzinfo=UTC)
    with Ledger(url, create=True) as ledger:
        for number in range(4):
            at = start + timedelta(minutes=number)
            name = f"u{number}"
            ledger.record([Upload(id=name, uploader="ann", published_at=at)])
            ledger.record(
                Prediction(
                    id=f"{name}-{detector}", upload_id=name, detector=detector, version="1",
                    status="scored", score=score, at=at,
                )
                for detector, score in (("spam", 0.85), ("violence", 0.0), ("copyright", 0.0))
            )  # fmt: skip
            ledger.record(
                [
                    Verdict(
                        id=f"v{number}", upload_id=name, action="remove", revision=1,
                        policy_version="x", rule="y", reasons=(), decided_by="policy", at=at,
                        latency=0,
                    )
                ]
            )  # fmt: skip
    words = ["backtest", "strict", "--database", url, "--workers", "1"]
    out = run(*words).stdout
    assert "4 cases decided again; 2 actions change" in out, "the third has two strikes"
    late = [*words, "--since", "2026-01-01T00:03:00"]
    assert "1 cases decided again; 0 actions change" in run(*late).stdout
    out = run(*late, "--detector", "spam@1").stdout
    assert "1 cases decided again; 0 actions change" in out
    assert "1 of them have predictions of these versions" in out
    for versions in (["spam@2"], ["spam@1", "violence@0"]):
        options = [word for one in versions for word in ("--detector", one)]
        with pytest.raises(InputError, match=f"none of the 1 cases has .* {versions[-1]};"):
            run(*late, *options)
    with pytest.raises(InputError, match="is not a detector version"):
        run(*words, "--detector", "spam")


def test_init_copies_a_policy_with_its_cases_and_overwrites_nothing(tmp_path):
    out = run("init", "strict", "--as", "ours", "--folder", str(tmp_path)).stdout
    file = tmp_path / "ours.yaml"
    assert f"wrote {file}" in out
    assert load_policy(file).name == "ours"
    assert load_policy(file).rules == load_policy("strict").rules
    assert "cases are as expected" in run("test", str(file)).stdout
    assert "0 errors" in run("check", str(file)).stdout
    file.write_text("mine")
    for folder in (tmp_path, tmp_path / "none"):
        with pytest.raises(ConfigurationError, match=r"there already|cannot write"):
            run("init", "strict", "--as", "ours", "--folder", str(folder))
    assert file.read_text() == "mine"
    file.unlink()
    with pytest.raises(ConfigurationError, match="there already"):
        run("init", "strict", "--as", "ours", "--folder", str(tmp_path))
    assert not file.exists()
    with pytest.raises(PolicyError, match="did you mean `strict`"):
        run("init", "strikt", "--folder", str(tmp_path))
    with pytest.raises(InputError, match="cannot name"):
        run("init", "strict", "--as", "../x", "--folder", str(tmp_path))


def test_every_verb_prints_one_json_object_alone(cases, tmp_path):
    labelled = str(reviewed_cases(tmp_path / "reviewed.jsonl"))
    reference = str(tmp_path / "reference.json")
    past = ["--cases", str(cases)]
    url = f"sqlite:///{tmp_path}/releases.db"
    Ledger(url, create=True).close()
    released = ("--database", url)
    verbs = {
        "list": ["list"],
        "show": ["show", "strict"],
        "schema": ["schema"],
        "check": ["check", "balanced"],
        "test": ["test", "balanced"],
        "init": ["init", "balanced", "--folder", str(tmp_path)],
        "explain": ["explain", "u1", *past],
        "diff": ["diff", "balanced", "strict", *past],
        "backtest": ["backtest", "strict", *past, "--workers", "1"],
        "blast-radius": ["blast-radius", "strict", "--against", "balanced", *past],
        "tune": ["tune", "balanced", "--score", "spam", "--bound", "0.05", "--cases", labelled],
        "fit": ["fit", "--score", "spam", "--score", "violence", "--cases", labelled],
        "drift": ["drift", *past, "--save", reference],
        "compare-shadow": ["compare-shadow", "balanced", *past],
        "publish": ["publish", "balanced", *released],
        "activate": ["activate", load_policy("balanced").version, *released],
        "releases": ["releases", *released],
    }
    made = {verb: json.loads(run(*words, "--json").stdout) for verb, words in verbs.items()}
    for verb, value in made.items():
        told = GUIDE_JSON[verb]
        assert told == {"..."} or set(value) == told, verb
    names = {one.name or one.callback.__name__.replace("_", "-") for one in app.registered_commands}
    assert set(verbs) | {"cases", "statements", "rollout"} == names
    assert set(GUIDE_JSON) == names
    assert made["list"]["policies"][0]["name"] == "balanced"
    assert made["explain"]["action"] == "restrict"
    assert made["diff"]["backtest"]["changed"] == 1
    assert made["blast-radius"]["uploads"] == {"value": 1, "low": 1, "high": 1}
    assert made["backtest"]["changes"][0].keys() == {"before", "after", "cases"}
    again = json.loads(run("drift", *past, "--reference", reference, "--json").stdout)
    assert again["alarm"] is False
    assert {one["detector"] for one in again["detectors"]} >= {"spam", "violence"}


def test_check_as_json_tells_all_mistakes_with_their_places(tmp_path):
    file = tmp_path / "mine.yaml"
    text = load_policy("balanced").text
    file.write_text(text.replace('score("spam")', 'score("spma")').replace("deadline:", "deadlin:"))
    result = run("check", str(file), "--json")
    assert result.exit_code == 78
    made = json.loads(result.stdout)
    assert made["valid"] is False
    assert len(made["problems"]) >= 4
    assert all(one["line"] and one["column"] and one["message"] for one in made["problems"])
    file.write_text(text.replace('("spam") >= 0.98', '("spam") >= 1.5'))
    result = run("check", str(file), "--json")
    assert result.exit_code == 1
    problem = json.loads(result.stdout)["problems"][0]
    assert (problem["rule"], problem["file"]) == ("spam-certain", str(file))
    assert file.read_text().splitlines()[problem["line"] - 1].strip() == "- name: spam-certain"
    told = f"{file}:{problem['line']}:{problem['column']}: rule spam-certain: can never apply"
    assert told in run("check", str(file)).stdout
