"""Works registered later are found in earlier uploads, and verdicts are superseded."""

from __future__ import annotations

from datetime import timedelta

import numpy as np
import pytest

from quorum.aggregator.decider import Decider
from quorum.aggregator.policy.policy import load_policy
from quorum.core.errors import ConfigurationError, InputError
from quorum.core.messages import Action, Prediction, Review, Upload, Verdict, now
from quorum.models.copyright.catalogue.catalogue import Catalogue
from quorum.models.copyright.detector import CopyrightDetector
from quorum.models.detectors import Features
from quorum.models.ensemble import Ensemble
from quorum.models.fingerprint.fingerprint import fingerprint
from quorum.store.ledger import Ledger
from tests.apps.cli.test_catalogue_command import run
from tests.models.copyright.clips import picture_frames, write_video
from tests.store.ledger.postgres_server import running

POLICY = """
name: works-only
deadline: 5 s
detectors:
  copyright: {required: true, missing: review, failed: review, abstained: ignore}
rules:
  - name: a-work
    when: label("copyright/remove") >= 0.9
    action: remove
    category: intellectual-property
    reason: The media matches a registered work (probability {copyright}).
"""


@pytest.fixture(scope="module")
def media(tmp_path_factory):
    """Two films; the first is a mirrored part of the second's fellow `film`."""
    folder = tmp_path_factory.mktemp("media")
    frames = picture_frames(1, size=(144, 192), seconds=8)
    write_video(folder / "film.mp4", frames)
    part = [np.ascontiguousarray(each[:, ::-1]) for each in frames[20:]]
    write_video(folder / "copy.mp4", part, crf=34)
    write_video(folder / "own.mp4", picture_frames(2, size=(144, 192), seconds=6))
    return folder


@pytest.fixture(scope="module")
def server():
    with running() as started:
        yield started


@pytest.fixture(params=["database", "folder", pytest.param("postgres", marks=pytest.mark.postgres)])
def place(request, tmp_path):
    """Location of the catalogue, as CLI options, and a ledger."""
    url = f"sqlite:///{tmp_path}/ledger.db"
    if request.param == "postgres":
        url = request.getfixturevalue("server").new_database()
    Ledger(url, create=True).close()
    there = ["--catalogue", str(tmp_path / "catalogue")]
    return url, there + ([] if request.param == "folder" else ["--database", url])


def opened(place, read_only=False):
    url, there = place
    return Catalogue(there[1], url if len(there) > 2 else None, read_only=read_only)


@pytest.fixture
def decided(place, media, tmp_path):
    """Three uploads allowed an hour ago, as recorded by a stream."""
    url, there = place
    run("keep", "--days", "9", *there)
    (tmp_path / "policy.yaml").write_text(POLICY)
    policy = load_policy(tmp_path / "policy.yaml")
    detector = CopyrightDetector(there[1], url if len(there) > 2 else None)
    member = Ensemble.of([detector]).detectors["copyright"]
    at = now() - timedelta(hours=1)
    with Ledger(url) as ledger:
        for name, clip in (("u1", "copy"), ("u2", "own"), ("u3", "copy")):
            upload = Upload(
                id=name, uploader=f"by-{name}", media=f"file:///{clip}.mp4", published_at=at
            )
            features = Features(upload, fingerprint=fingerprint(media / f"{clip}.mp4"))
            said = member.score([features])
            said = [one.model_copy(update={"at": at}) for one in said]
            verdict = Decider(policy).first(upload, said, arrived=at, at=at).verdict
            assert verdict.action is Action.ALLOW
            ledger.record([upload, *said, verdict])
        # Decisions of people stay.
        review = Review(
            upload_id="u3", verdict_id=verdict.id, action=Action.ALLOW, reviewer="ana", at=at
        )
        ledger.record([review])
    detector.close()
    return tmp_path / "policy.yaml"


def register(place, media):
    run(
        "add", media / "film.mp4", "--id", "film", "--owner", "A Studio", "--action", "remove",
        *place[1],
    )  # fmt: skip


def test_a_later_work_supersedes_the_verdicts_on_earlier_uploads(place, decided, media, tmp_path):
    url, there = place
    told = ["--ledger", url, "--policy", decided, *there]
    assert "0 uploads" in run("rescan", *told)
    register(place, media)
    out, said = tmp_path / "verdicts.jsonl", tmp_path / "predictions.jsonl"
    dry = run("rescan", *told, "--dry-run", "--verdicts", out)
    assert "2 uploads have changed results (dry run: nothing was published)" in dry
    assert "allow -> remove: 1" in dry
    assert not out.exists()
    done = run("rescan", *told, "--verdicts", out, "--predictions", said)
    assert "allow -> remove: 1" in done
    (verdict,) = map(Verdict.from_bytes, out.read_bytes().splitlines())
    assert len(said.read_bytes().splitlines()) == 2
    with Ledger(url) as ledger:
        first, second = ledger.get_case("u1").verdicts
        newest = max(ledger.get_case("u1").predictions, key=lambda one: one.at)
        assert [one.revision for one in ledger.get_case("u3").verdicts] == [1]
    assert second == verdict
    assert (verdict.upload_id, verdict.action) == ("u1", Action.REMOVE)
    assert (verdict.revision, verdict.supersedes) == (2, first.id)
    assert newest.id in {one.id for one in verdict.predictions}
    assert newest.evidence[0].work == "film"
    assert "0 uploads" in run("rescan", *told, "--verdicts", out)


def test_what_could_not_be_published_is_told_again(place, decided, media, tmp_path):
    url, there = place
    register(place, media)
    told = ["--ledger", url, "--policy", decided, *there]
    (tmp_path / "folder.jsonl").mkdir()
    with pytest.raises(ConfigurationError, match="cannot write"):
        run("rescan", *told, "--verdicts", tmp_path / "folder.jsonl")
    with Ledger(url) as ledger:
        assert len(ledger.get_case("u1").verdicts) == 1
    assert "allow -> remove: 1" in run("rescan", *told)
    with pytest.raises(ConfigurationError, match="--ledger"):
        run("rescan", "--verdicts", tmp_path / "out.jsonl", *there)


def test_without_a_ledger_the_predictions_are_told(place, decided, media, tmp_path):
    register(place, media)
    said = tmp_path / "said.jsonl"
    assert "2 uploads" in run("rescan", "--predictions", said, *place[1])
    made = [Prediction.from_bytes(line) for line in said.read_bytes().splitlines()]
    assert {(one.upload_id, one.evidence[0].work) for one in made} == {
        ("u1", "film"),
        ("u3", "film"),
    }
    run("permit", "film", "by-u1", *place[1])
    assert '"upload_id":"u1"' in run("rescan", *place[1])


def test_a_dispute_won_is_an_exception(place, decided, media, tmp_path):
    url, there = place
    register(place, media)
    run("rescan", "--ledger", url, "--policy", decided, *there)
    with pytest.raises(InputError, match="nothing to dispute"):
        run("dispute", "u2", "--reason", "mine", "--ledger", url)
    assert "waits for a reviewer" in run("dispute", "u1", "--reason", "licensed", "--ledger", url)
    assert "known already" in run("dispute", "u1", "--reason", "licensed", "--ledger", url)
    assert run("settle", "--ledger", url, *there) == ""
    decide_appeal(url, load_policy(decided))
    if len(there) == 2:
        assert "by-u1 may use film" in run("settle", "--ledger", url, *there)
    assert run("settle", "--ledger", url, *there) == ""
    assert opened(place).get("film")[0].exceptions == ("by-u1",)
    # The exception now holds for this uploader, and a rescan changes nothing.
    assert "1 uploads" in run("rescan", "--ledger", url, "--policy", decided, *there)
    with Ledger(url) as ledger:
        assert ledger.get_case("u1").verdict.action is Action.ALLOW


def decide_appeal(url, policy):
    pytest.importorskip("argon2", reason="needs quorum-moderation[console]")
    from quorum.apps.console.accounts import audit
    from quorum.apps.console.desk import claims, decisions, outbox
    from quorum.apps.console.desk.publishing import LedgerReviewPublisher
    from quorum.apps.console.desk.queues import Queue

    with Ledger(url) as ledger:
        task = claims.claim_next(ledger, Queue(kind="appeal"), "ana")
        decisions.decide(
            ledger, task.id, "ana", Action.ALLOW, None, "a licence was shown", timedelta()
        )
        publish = LedgerReviewPublisher(ledger, policy).publish
        assert outbox.publish_due(ledger, publish, double_rate=0.0) == 1
        assert ledger.get_case("u1").verdict.action is Action.ALLOW
        assert audit.verify(ledger).broken is None
