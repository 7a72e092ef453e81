"""A review whose case the stream has forgotten: the ledger brings the case back."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from apache_beam.pvalue import TaggedOutput

from quorum.aggregator.decider import Decider
from quorum.apps.cli.replay import replayed
from quorum.core.messages import Action, Prediction, Review, Status, Upload, Verdict, now
from quorum.models.ensemble import Ensemble
from quorum.pipeline.cases.in_state import StreamCaseDoFn
from quorum.pipeline.cases.options import CaseOptions
from quorum.pipeline.moderator import Moderator
from quorum.pipeline.streams.base import Joined, Received
from quorum.store.ledger import Ledger
from tests.pipeline.doubles import Scripted, policy, upload
from tests.pipeline.test_decide import State, Timer


@pytest.fixture
def ledger(tmp_path: Path) -> str:
    """A ledger in which ``bad`` was removed."""
    url = f"sqlite:///{tmp_path}/ledger.db"
    ensemble = Ensemble.of([Scripted("alpha"), Scripted("beta")])
    bad = Upload.from_bytes(upload("bad", script={"alpha": 0.99}))
    (made,) = Moderator(policy=policy(), ensemble=ensemble).moderate([bad])
    with Ledger(url, create=True) as opened:
        opened.record([bad, *made.predictions, made.verdict])
    return url


def reviewed(url: str | None, upload_id: str, verdict_id: str, *before: Received) -> list[Any]:
    """What comes of a review, after other messages of its upload."""
    step = StreamCaseDoFn(policy(), CaseOptions(ledger=url))
    step.setup()
    received = Received(review_of(upload_id, verdict_id).to_bytes(), {}, "path|ack_id", "reviews")
    state, timer = State(), Timer()
    out: list[Any] = []
    for one in (*before, received):
        out += step.process((upload_id, Joined((one,))), state, timer)
    step.teardown()
    return out


def review_of(upload_id: str, verdict_id: str) -> Review:
    return Review(
        upload_id=upload_id, verdict_id=verdict_id, action=Action.ALLOW, reviewer="ada", at=now()
    )


def verdict_of(url: str) -> Verdict:
    with Ledger(url) as opened:
        case = opened.get_case("bad")
    assert case is not None and case.verdict is not None
    return case.verdict


def test_a_late_review_supersedes_the_recorded_verdict(ledger: str) -> None:
    before = verdict_of(ledger)
    assert before.action is Action.REMOVE
    (out,) = reviewed(ledger, "bad", before.id)
    (after,) = out.messages
    assert (after.action, after.decided_by) == (Action.ALLOW, "reviewer")
    assert (after.revision, after.supersedes) == (before.revision + 1, before.id)
    assert out.ack_ids == ("path|ack_id",)


@pytest.mark.parametrize("known", [True, False], ids=["no ledger", "an upload nobody knows"])
def test_without_a_recorded_case_the_review_waits(ledger: str, known: bool) -> None:
    out = reviewed(None, "bad", "v") if known else reviewed(ledger, "nobody", "v")
    assert out == []


def test_a_ledger_that_is_away_loses_no_review(tmp_path: Path) -> None:
    out = reviewed(f"sqlite:///{tmp_path}/empty.db", "bad", "v")
    assert not any(isinstance(each, TaggedOutput) for each in out)
    assert out == []


def test_a_late_review_of_a_verdict_that_there_is_not_is_a_dead_letter(ledger: str) -> None:
    (out,) = reviewed(ledger, "bad", "nonsense")
    assert isinstance(out, TaggedOutput)
    (letter,) = out.value.messages
    assert letter.error == "it names no verdict on its upload"
    assert out.value.ack_ids == ("path|ack_id",)


def test_a_forged_review_that_was_recorded_decides_nothing(ledger: str) -> None:
    with Ledger(ledger) as opened:
        opened.record([review_of("bad", "nonsense")])
    (out,) = reviewed(ledger, "bad", "another")
    assert isinstance(out, TaggedOutput)
    with Ledger(ledger) as opened:
        case = opened.get_case("bad")
        assert case is not None and case.upload is not None
        assert (len(case.reviews), case.counted_reviews) == (1, ())
        assert replayed(Decider(policy()), case, opened) is None


def test_a_message_that_waits_for_its_upload_does_not_keep_a_review_from_the_ledger(
    ledger: str,
) -> None:
    """Anyone could have sent it."""
    stranger = Prediction(
        id="p", upload_id="bad", detector="stranger", version="1", status=Status.SCORED,
        score=0.5, at=now(),
    )  # fmt: skip
    before = (
        Received(stranger.to_bytes(), {}, "path|stranger", "predictions"),
        Received(review_of("bad", "nonsense").to_bytes(), {"n": "1"}, "path|forged", "reviews"),
    )
    verdict = verdict_of(ledger)
    forged, stranger_acked, out = reviewed(ledger, "bad", verdict.id, *before)
    assert isinstance(forged, TaggedOutput)
    assert forged.value.ack_ids == ("path|forged",)
    assert forged.value.messages[0].original == {"n": "1"}
    assert out.messages[0].action is Action.ALLOW
    assert (stranger_acked.messages, stranger_acked.ack_ids) == ((), ("path|stranger",))
    assert out.ack_ids == ("path|ack_id",)


def test_a_verdict_of_an_earlier_life_of_the_case_is_found_in_the_ledger(ledger: str) -> None:
    """The job was killed after publishing, and decided otherwise when it came back."""
    verdict = verdict_of(ledger)
    again = Received(upload("bad", script={"alpha": 0.99}), {}, "path|upload", "uploads")
    out = reviewed(ledger, "bad", verdict.id, again)
    assert [one.decided_by for each in out for one in each.messages] == ["reviewer"]
