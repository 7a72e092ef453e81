"""One id, two contents, in the stateful step: in the engine's state and in the worker's memory."""

from __future__ import annotations

import pytest

from quorum.core.messages import Action, Upload
from quorum.pipeline.cases import dofn as module
from tests.pipeline.doubles import upload
from tests.pipeline.test_decide import KEYS, POLICY, Key, prediction, review

FIRST = upload("u", published_at="2026-03-01T12:00:00Z")
EDIT = upload("u", title="another title", published_at="2026-03-01T12:01:00Z")


def of(data: bytes, detector: str, score: float = 0.1, at: float = 0.0) -> tuple[str, bytes]:
    content = Upload.from_bytes(data).digest
    told = prediction(detector, score, at, digest=content)
    return "predictions", told


@pytest.fixture(params=KEYS.args[1])
def key(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Key:
    made: Key = request.param()
    monkeypatch.setattr(module, "now", made.now)
    return made


def test_an_edit_is_acknowledged_with_its_own_verdict(key: Key) -> None:
    key.give(("uploads", FIRST), of(FIRST, "alpha"), of(FIRST, "beta"))
    assert [one.action for one in key.verdicts] == [Action.ALLOW]
    assert key.released == ["s|0", "s|1", "s|2"]
    key.give(("uploads", EDIT))
    key.give(of(EDIT, "beta"))
    assert len(key.verdicts) == 1
    assert key.released == ["s|0", "s|1", "s|2"]
    key.give(of(EDIT, "alpha", 0.95))
    first, second = key.verdicts
    assert (second.action, second.revision, second.supersedes) == (Action.REMOVE, 2, first.id)
    assert second.digest == Upload.from_bytes(EDIT).digest != first.digest
    key.end()
    assert sorted(key.released) == sorted(ack for ack, _ in key.given)
    assert key.state.value is None


def test_an_undecided_edit_ends_by_its_own_deadline(key: Key) -> None:
    key.give(("uploads", FIRST), of(FIRST, "alpha", 0.95), of(FIRST, "beta"))
    key.give(("uploads", EDIT))
    late = of(FIRST, "beta", 0.99, at=70.0)
    key.give(late)
    assert len(key.verdicts) == 1
    key.end()
    assert [one.action for one in key.verdicts] == [Action.REMOVE, Action.REVIEW]
    assert key.verdicts[1].decided_by == "deadline"
    assert key.verdicts[1].predictions == ()
    assert sorted(key.released) == sorted(ack for ack, _ in key.given)


def test_predictions_ahead_of_their_edit_are_kept_and_acknowledged_with_its_verdict(
    key: Key,
) -> None:
    key.give(("uploads", FIRST), of(FIRST, "alpha"), of(FIRST, "beta"))
    key.give(of(EDIT, "alpha", 0.95))
    key.give(of(EDIT, "beta"))
    assert len(key.verdicts) == 1
    assert len(key.released) == 3
    key.give(("uploads", EDIT))
    assert [one.action for one in key.verdicts] == [Action.ALLOW, Action.REMOVE]
    assert sorted(key.released) == sorted(ack for ack, _ in key.given)
    key.end()
    assert key.dead == []


def test_predictions_whose_edit_never_comes_are_dead_letters(key: Key) -> None:
    key.give(("uploads", FIRST), of(FIRST, "alpha"), of(FIRST, "beta"))
    stray = of(EDIT, "alpha", 0.95)
    key.give(stray)
    key.give(stray)
    key.wait(POLICY.orphan_wait + 1)
    assert [one.data for one in key.dead] == [stray[1]]
    assert key.dead[0].stage == "decide.predictions"
    assert len(key.verdicts) == 1
    assert sorted(key.released) == sorted(ack for ack, _ in key.given)
    key.end()
    assert key.state.value is None


def test_an_earlier_content_that_is_delivered_late_changes_nothing(key: Key) -> None:
    key.give(("uploads", EDIT), of(EDIT, "alpha"), of(EDIT, "beta"))
    key.give(of(FIRST, "alpha", 0.99))
    key.give(("uploads", FIRST))
    key.give(of(FIRST, "beta", 0.99))
    key.end()
    (verdict,) = key.verdicts
    assert verdict.digest == Upload.from_bytes(EDIT).digest
    assert key.dead == []
    assert sorted(key.released) == sorted(ack for ack, _ in key.given)


def test_a_review_waits_for_no_content(key: Key) -> None:
    key.give(("uploads", FIRST), of(FIRST, "alpha"), of(FIRST, "beta"))
    key.give(("reviews", review("remove", 50.0, key.verdicts[0].id)))
    key.give(("uploads", EDIT), of(EDIT, "alpha"), of(EDIT, "beta"))
    assert [one.rule for one in key.verdicts] == ["default", "review", "edited-after-review"]
    key.end()
    assert sorted(key.released) == sorted(ack for ack, _ in key.given)
