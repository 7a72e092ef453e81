"""``quorum policy publish``, ``activate``, ``releases``, and ``explain`` of what they released."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from quorum.aggregator.decider import Decider
from quorum.aggregator.policy.policy import Policy, load_policy
from quorum.apps.cli.policy import app
from quorum.core.errors import ConfigurationError, InputError, PolicyError
from quorum.core.identity import SigningKey
from quorum.core.identity.signing import ENVIRONMENT
from quorum.core.messages import Upload, now
from quorum.store.ledger import Ledger
from quorum.store.ledger.releases import history, in_force, policy_texts

GUIDE = (Path(__file__).parents[3] / "docs" / "policy.md").read_text(encoding="utf-8")
MINE = load_policy("balanced").text.replace("name: balanced", "name: mine")


@pytest.fixture
def database(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    url = f"sqlite:///{tmp_path}/ledger.db"
    monkeypatch.setenv("QUORUM_DATABASE", url)
    with Ledger(url, create=True):
        return url


def run(*words: str) -> Any:
    result = CliRunner().invoke(app, list(words), env={"COLUMNS": "200", "TERM": "dumb"})
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def write(folder: Path, text: str, cases: str = "") -> str:
    file = folder / "mine.yaml"
    file.write_text(text)
    if cases:
        (folder / "mine.cases.yaml").write_text(cases)
    return str(file)


def test_a_release_is_in_force_until_the_next_and_the_former_comes_back(
    database: str, tmp_path: Path
):
    first = json.loads(run("publish", write(tmp_path, MINE), "--by", "ana", "--json").stdout)
    stricter = MINE.replace("quorum: 1", "quorum: 2")
    second = json.loads(run("publish", write(tmp_path, stricter), "--json").stdout)
    assert first["version"] != second["version"]
    told = run("releases").stdout
    assert told.index(second["version"]) < told.index(first["version"])
    run("activate", first["version"], "--note", "too much work")
    listed = json.loads(run("releases", "--json").stdout)["releases"]
    assert [one["version"] for one in listed] == [
        first["version"], second["version"], first["version"]
    ]  # fmt: skip
    assert listed[0]["note"] == "too much work"
    with pytest.raises(ConfigurationError, match=r"never released.*mine@"):
        run("activate", "mine@0")


@pytest.mark.parametrize(
    ("text", "cases", "why"),
    [
        (MINE.replace("quorum: 1", "quorum: 99"), "", "quorum of 99"),
        (MINE, "- {name: wrong, upload: {id: u}, scores: {spam: 0.99}, expect: allow}", "wrong"),
    ],
    ids=["invalid", "a golden case fails"],
)
def test_a_bad_policy_is_refused_before_it_is_released(
    database: str, tmp_path: Path, text: str, cases: str, why: str
):
    with pytest.raises(PolicyError, match=why):
        run("publish", write(tmp_path, text, cases))
    with Ledger(database) as ledger:
        assert ledger.transact(in_force) is None


def test_where_publishers_are_configured_only_one_that_may_release_does(
    database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    key = SigningKey.new("desk", "k1")
    settings = tmp_path / "settings.yaml"

    def configure(*streams: str) -> None:
        keys = {key.id: {"public": key.public}}
        told = {"publishers": {"desk": {"keys": keys, "streams": list(streams)}}}
        settings.write_text(json.dumps(told))

    words = ("publish", write(tmp_path, MINE), "--settings", str(settings))
    configure("policies")
    with pytest.raises(ConfigurationError, match="no key to sign policies"):
        run(*words)
    monkeypatch.setenv(ENVIRONMENT, key.text)
    configure("reviews")
    with pytest.raises(ConfigurationError, match="may not publish policies"):
        run(*words)
    configure("policies")
    run(*words)
    with Ledger(database) as ledger:
        found = ledger.transact(in_force)
    assert found is not None
    assert found.attributes["quorum-publisher"] == "desk"


def test_a_verdict_is_explained_under_the_policy_that_it_names(database: str, tmp_path: Path):
    changed = MINE.replace("quorum: 1", "quorum: 2")
    run("publish", write(tmp_path, changed))
    run("publish", write(tmp_path, MINE))
    policy = Policy.from_text(changed)
    upload = Upload.model_validate(
        {"id": "u1", "uploader": "c1", "title": "t", "published_at": "2026-03-01T00:00:00Z"}
    )
    at = now()
    verdict = Decider(policy).first(upload, (), arrived=at, at=at).verdict
    with Ledger(database) as ledger:
        ledger.record([upload, verdict])
    told = json.loads(run("explain", "u1", "--database", "-", "--json").stdout)
    assert told["version"] == policy.version
    assert told["version"] == verdict.policy_version


def test_a_rollout_is_compared_and_its_guard_goes_back(database: str, tmp_path: Path):
    rule = """
  - name: all-of-them
    when: upload.title == "t"
    action: remove
    reason: For a share.
    rollout: {percent: 50, salt: s}
"""
    rolled = MINE.replace("\nrules:\n", f"\nrules:{rule}", 1)
    assert rolled != MINE
    former = json.loads(run("publish", write(tmp_path, MINE), "--json").stdout)["version"]
    run("publish", write(tmp_path, rolled))
    decider = Decider(Policy.from_text(rolled))
    at = now()
    recorded: list[Any] = []
    for number in range(300):
        upload = Upload.model_validate(
            {
                "id": f"u{number}",
                "uploader": f"c{number}",
                "title": "t",
                "published_at": "2026-03-01T00:00:00Z",
            }
        )
        recorded += [upload, decider.first(upload, (), arrived=at, at=at).verdict]
    with Ledger(database) as ledger:
        ledger.record(recorded)
    shown = run("rollout", "all-of-them")
    assert shown.exit_code == 0
    assert "yes" in next(line for line in shown.stdout.splitlines() if "remove" in line)
    assert run("rollout", "all-of-them", "--guard", "latency=5").exit_code == 0
    passed = run("rollout", "all-of-them", "--guard", "remove=0.5", "--json")
    assert passed.exit_code == 1
    told = json.loads(passed.stdout)
    keys = re.findall(r"`(\w+)`", GUIDE.partition("| `rollout` | ")[2].partition("\n")[0])
    assert set(told) == set(keys)
    assert told["passed"] == ["remove"]
    assert (told["with"]["remove"], told["without"]["remove"]) == (1.0, 0.0)
    words = ("rollout", "all-of-them", "--guard", "remove=0.5", "--back-to", former)
    assert run(*words).exit_code == 1
    with Ledger(database) as ledger:
        found = ledger.transact(in_force)
    assert found is not None
    assert found.release.policy_version == former
    with pytest.raises(InputError, match="names the rollout of other"):
        run("rollout", "other")


def test_a_candidate_is_published_for_a_share_and_its_guard_stops_it(database: str, tmp_path: Path):
    rule = """
  - {name: all-of-them, when: upload.title == "t", action: remove, reason: All.}
"""
    candidate = Policy.from_text(MINE.replace("\nrules:\n", f"\nrules:{rule}", 1))
    other = tmp_path / "other.yaml"
    other.write_text(candidate.text)
    file = write(tmp_path, MINE)
    run("publish", file)
    with pytest.raises(ConfigurationError, match="go together"):
        run("publish", file, "--candidate", str(other))
    run("publish", file, "--candidate", str(other), "--percent", "50", "--salt", "s")
    with Ledger(database) as ledger:
        found = ledger.transact(in_force)
        assert found is not None
        decider, at = Decider(Policy.from_text(found.release.text)), now()
        uploads = [
            Upload(id=f"u{each}", uploader=f"c{each}", title="t", published_at=at)
            for each in range(300)
        ]
        made = [decider.first(one, (), arrived=at, at=at).verdict for one in uploads]
        ledger.record([*uploads, *made])
        texts = ledger.transact(lambda one: policy_texts(one, [candidate.version, "x@1"]))
    assert {version: Policy.from_text(text).version for version, text in texts.items()} == {
        candidate.version: candidate.version
    }
    told = json.loads(run("rollout", candidate.version, "--json").stdout)
    assert (told["with"]["remove"], told["without"]["remove"]) == (1.0, 0.0)
    words = ("rollout", candidate.version, "--guard", "remove=0.5", "--stop")
    for more in ((), ("--every", "5")):
        assert run(*words, *more).exit_code == 1
    with Ledger(database) as ledger:
        after = ledger.transact(history)
    # Once, however often one looks.
    assert [one.release.policy_version for one in after] == [
        Policy.from_text(MINE).version,
        decider.policy.version,
        Policy.from_text(MINE).version,
    ]


def test_a_rollout_is_watched_until_its_guard_is_passed(
    database: str, monkeypatch: pytest.MonkeyPatch
):
    looks: list[float] = []

    def sleep(seconds: float) -> None:
        looks.append(seconds)
        if len(looks) == 3:
            raise KeyboardInterrupt

    monkeypatch.setattr("quorum.apps.cli.policy_rollout.time.sleep", sleep)
    with pytest.raises(InputError, match="give one, such as --guard"):
        run("rollout", "not-yet", "--every", "5")
    # Nothing is rolled out so far.
    run("rollout", "not-yet", "--guard", "remove=0.5", "--every", "5")
    assert looks == [5.0, 5.0, 5.0]


def test_last_weeks_cases_are_held_against_the_released_policy(database: str, tmp_path: Path):
    policy = Policy.from_text(MINE)
    with Ledger(database) as ledger:
        for number in range(30):
            upload = Upload(id=f"u{number}", uploader=f"by-{number % 10}", published_at=now())
            made = Decider(policy).first(upload, (), arrived=now(), at=now()).verdict
            ledger.record([upload, made])
    told = run("blast-radius", write(tmp_path, MINE)).stdout
    assert "30 cases were decided again (all), compared with the recorded actions" in told
    assert "unknown: no upload says its views" in told
    run("publish", write(tmp_path, MINE))
    milder = MINE.replace("missing: review", "missing: ignore").replace("quorum: 1", "quorum: 0")
    milder = milder.replace("required: true", "required: false")
    assert milder != MINE
    words = ("blast-radius", write(tmp_path, milder.replace("mine", "ours", 1)))
    found = json.loads(run(*words, "--json").stdout)
    assert found["against"] == policy.version
    assert found["of"] == {"uploads": 30, "uploaders": 10}
    assert found["sampled"] is False
    assert "of" in run(*words).stdout
    nothing = json.loads(run(*words, "--until", "2020-01-01", "--json").stdout)
    assert nothing["of"] == {"uploads": 0, "uploaders": 0}
    assert nothing["uploads"]["value"] == 0


def test_releases_say_what_each_changed(database: str, tmp_path: Path):
    run("publish", write(tmp_path, MINE), "--note", "the first")
    stricter = MINE.replace('score("spam") >= 0.98', 'score("spam") >= 0.9')
    run("publish", write(tmp_path, stricter), "--note", "more spam")
    line = "rule spam-certain: threshold 0.98 -> 0.9"
    assert line in run("releases", "--changes").stdout
    listed = json.loads(run("releases", "--changes", "--limit", "1", "--json").stdout)["releases"]
    assert [one["changes"] for one in listed] == [[line]]
    listed = json.loads(run("releases", "--changes", "--json").stdout)["releases"]
    assert [one["changes"] for one in listed] == [[line], []]
    assert "changes" not in json.loads(run("releases", "--json").stdout)["releases"][0]
