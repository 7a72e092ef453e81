"""A review whose case the stream has forgotten: the ledger brings the case back."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from apache_beam.pvalue import TaggedOutput

from quorum.core.messages import Action, Review, Upload, Verdict, now
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


def reviewed(url: str | None, upload_id: str, verdict_id: str) -> list[Any]:
    step = StreamCaseDoFn(policy(), CaseOptions(ledger=url))
    step.setup()
    review = Review(
        upload_id=upload_id, verdict_id=verdict_id, action=Action.ALLOW, reviewer="ada", at=now()
    )
    received = Received(review.to_bytes(), {}, "path|ack_id", "reviews")
    out = list(step.process((upload_id, Joined((received,))), State(), Timer()))
    step.teardown()
    return out


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
