from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from quorum.apps.cli import policy as policy_command
from quorum.core.errors import ConfigurationError
from quorum.core.messages import Action, Review, Upload, Verdict, now
from quorum.pipeline.moderator import Moderator
from quorum.store.ledger import Ledger
from tests.apps.web.doubles import POLICY
from tests.pipeline.batch.runs import actions, ensemble, run, upload


def test_the_ledgers_uploads_get_the_verdicts_of_the_moderator(ledger: Ledger) -> None:
    titles = ["bad", "fine", "broken", "late", ""]
    uploads = [upload(n, titles[n % 5]) for n in range(700)]
    ledger.record(uploads)
    told = run()
    assert "700 read" in told
    assert "700 decided" in told
    wanted = Moderator(policy=POLICY, ensemble=ensemble()).moderate(uploads)
    cases = {case.upload_id: case for case in ledger.cases()}
    for one in wanted:
        case = cases[one.verdict.upload_id]
        made = case.verdict
        assert made is not None
        same = ("id", "action", "rule", "reasons", "missing", "decided_by", "revision")
        assert [getattr(made, name) for name in same] == [
            getattr(one.verdict, name) for name in same
        ]
        assert len(case.predictions) == 2


def test_a_second_run_does_nothing(ledger: Ledger) -> None:
    ledger.record([upload(n) for n in range(50)])
    run()
    before = ledger.stats()
    assert "50 known" in run()
    assert ledger.stats() == before


def test_uploads_of_the_ledger_itself_are_not_recorded_again(
    ledger: Ledger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger.record([upload(n) for n in range(5)])
    recorded: list[type] = []
    real = Ledger.record

    def record(self: Ledger, messages: Any) -> None:
        recorded.extend(type(one) for one in messages)
        real(self, messages)

    monkeypatch.setattr(Ledger, "record", record)
    run()
    assert Upload not in recorded and Verdict in recorded
    other = f"sqlite:///{tmp_path}/other.db"
    with Ledger(other, create=True) as made:
        run("--database", f"sqlite:///{tmp_path}/ledger.db", "--ledger", other)
        assert made.stats()["uploads"] == made.stats()["verdicts"] == 5


def test_a_dry_run_writes_nothing(ledger: Ledger) -> None:
    ledger.record([upload(n, "bad") for n in range(50)])
    before = ledger.stats()
    assert "50 remove" in run("--dry-run")
    assert ledger.stats() == before
    assert ledger.last_run() is None


def test_again_writes_what_changes_and_leaves_reviews_alone(ledger: Ledger, tmp_path: Path) -> None:
    ledger.record([upload(n, "bad" if n % 2 else "fine") for n in range(20)])
    run()
    first = ledger.get_case("u0001")
    assert first is not None and first.verdict is not None
    reviewed = ledger.get_case("u0003")
    assert reviewed is not None and reviewed.verdict is not None
    ledger.record(
        [
            Review(
                upload_id="u0003",
                verdict_id=reviewed.verdict.id,
                action=Action.ALLOW,
                reviewer="ana",
                at=now(),
            )
        ]
    )
    milder = tmp_path / "milder.yaml"
    milder.write_text(POLICY.text.replace("action: remove", "action: restrict"))
    told = run("--again", policy=str(milder))
    assert "9 decided (9 restrict)" in told
    assert "11 unchanged" in told
    second = ledger.get_case("u0001")
    assert second is not None and second.verdict is not None
    assert (second.verdict.revision, second.verdict.supersedes) == (2, first.verdict.id)
    assert second.verdict.action is Action.RESTRICT
    assert actions(ledger)["u0003"] == "remove"
    assert "0 decided" in run("--again", policy=str(milder))


def test_a_policy_in_shadow_is_recorded_and_never_acts(ledger: Ledger, tmp_path: Path) -> None:
    ledger.record([upload(n, "bad" if n % 2 else "fine") for n in range(20)])
    mild = tmp_path / "mild.yaml"
    mild.write_text(POLICY.text.replace("name: words", "name: mild").replace("remove", "restrict"))
    assert "10 remove" in run("--shadow-policy", str(mild))
    told = CliRunner().invoke(
        policy_command.app, ["compare-shadow", os.environ["TEST_POLICY"], "--database", "-"]
    )
    assert "decided 20 cases" in told.output
    assert "10 would be restrict instead of remove" in told.output


def test_past_removals_of_the_uploader_count(ledger: Ledger, tmp_path: Path) -> None:
    suspicious = tmp_path / "suspicious.yaml"
    suspicious.write_text(
        POLICY.text + "  - {name: again, when: uploader.strikes >= 1.5, action: review,"
        " reason: The uploader has earlier removals.}\n"
    )
    ledger.record([upload(n, "bad", uploader="rogue") for n in range(2)])
    run(policy=str(suspicious))
    ledger.record(
        [upload(7, uploader="rogue"), upload(8, uploader="gardener"), upload(9, uploader="rogue")]
    )
    run(policy=str(suspicious))
    assert actions(ledger) == {
        "u0000": "remove",
        "u0001": "remove",
        "u0007": "review",
        "u0008": "allow",
        "u0009": "review",
    }


@pytest.mark.parametrize(
    "args",
    [
        ("--since", "2026-01-31T12:00:00"),
        ("--since", "yesterday"),
        ("--backfill", "--window", "daily"),
        ("--window", "daily", "--since", "2026-01-31T12:00:00Z"),
        ("--since", "2026-02-01T00:00:00Z", "--until", "2026-01-01T00:00:00Z"),
        ("--column", "id=x"),
        ("--table", "videos", "--column", "id"),
        ("--table", "videos", "--timezone", "Mars/Base"),
        ("--table", "nothing"),
        ("--input", "/no/such/file.jsonl"),
        ("--report", "/no/such/folder/r.html"),
        ("--input", "x.jsonl", "--table", "videos"),
    ],
)
def test_wrong_options_are_told(args: tuple[str, ...], ledger: Ledger) -> None:
    with pytest.raises(ConfigurationError):
        run(*args)


def test_an_edit_is_decided_anew_and_an_earlier_content_is_left_alone(
    ledger: Ledger, tmp_path: Path
) -> None:
    first = upload(1, "bad")
    edit = first.model_copy(update={"title": "fine", "published_at": now()})
    ledger.record([first])
    run()
    ledger.record([edit])
    assert "1 decided" in run()
    case = ledger.get_case(first.id)
    assert case is not None and case.verdict is not None
    removed, allowed = case.verdicts
    assert (removed.action, removed.digest) == (Action.REMOVE, first.digest)
    assert (allowed.action, allowed.digest) == (Action.ALLOW, edit.digest)
    assert (allowed.revision, allowed.supersedes) == (2, removed.id)
    assert {one.digest for one in case.current_predictions} == {edit.digest}
    assert len(case.predictions) == 2 * len(case.current_predictions)
    assert "1 known" in run()
    file = tmp_path / "late.jsonl"
    file.write_bytes(first.to_bytes() + b"\n")
    assert "1 known" in run("--input", str(file))
    found = ledger.get_case(first.id)
    assert found is not None and found.verdicts == case.verdicts and found.upload == edit


def test_two_contents_in_one_batch_give_two_revisions(ledger: Ledger, tmp_path: Path) -> None:
    first = upload(1, "bad")
    edit = first.model_copy(update={"title": "fine", "published_at": now()})
    file = tmp_path / "in.jsonl"
    file.write_bytes(b"\n".join(one.to_bytes() for one in (first, first, edit, first)) + b"\n")
    told = run("--input", str(file))
    assert "4 read" in told and "2 decided" in told and "2 known" in told
    case = ledger.get_case(first.id)
    assert case is not None and case.upload == edit
    assert [one.action for one in case.verdicts] == [Action.REMOVE, Action.ALLOW]
    assert [one.revision for one in case.verdicts] == [1, 2]


def test_an_edit_of_what_a_reviewer_removed_goes_to_a_reviewer(ledger: Ledger) -> None:
    first = upload(1, "fine")
    ledger.record([first])
    run()
    seen = ledger.get_cases([first.id])[0].verdict
    assert seen is not None
    review = Review(
        upload_id=first.id, verdict_id=seen.id, action=Action.REMOVE, reviewer="ana", at=now()
    )
    edit = first.model_copy(update={"title": "fine too", "published_at": now()})
    ledger.record([review, edit])
    run()
    verdict = ledger.get_cases([first.id])[0].verdict
    assert verdict is not None
    assert (verdict.action, verdict.rule) == (Action.REVIEW, "edited-after-review")
