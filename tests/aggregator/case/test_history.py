import pytest

from quorum.aggregator.case.history import REMEMBERED, History, known_uploader
from quorum.aggregator.policy.policy import Policy, load_policy
from quorum.core.messages import Action, Verdict
from tests.aggregator.aggregator_cases import after

DAY = 86400.0
POLICY = Policy.from_text(
    load_policy("balanced").text + "strikes: {half_life: 10 d, remove: 1, restrict: 0.25}\n"
)


def verdict(upload_id, action, *, revision=1, at=0.0, decided_by="policy"):
    return Verdict(
        id=f"{upload_id}-{revision}",
        upload_id=upload_id,
        action=action,
        revision=revision,
        policy_version="p",
        rule="r",
        reasons=(),
        decided_by=decided_by,
        at=after(at),
        latency=0,
    )


def told(*verdicts, at=0.0):
    history = History(POLICY)
    for one in verdicts:
        history.on_verdict(one)
        history = History.restore(POLICY, history.snapshot())
    return history.uploader(after(at))


def test_strikes_decay():
    removed = verdict("a", "remove")
    assert told(removed).strikes == 1
    assert told(removed, at=10 * DAY).strikes == pytest.approx(0.5)
    assert told(removed, at=20 * DAY).strikes == pytest.approx(0.25)


def test_what_counts():
    found = told(
        verdict("a", "remove"),
        verdict("b", "restrict"),
        verdict("c", "allow"),
        verdict("d", "review"),
    )
    assert (found.strikes, found.removals, found.verdicts) == (1.25, 1, 4)


def test_a_restored_upload_leaves_no_strike():
    found = told(verdict("a", "remove"), verdict("a", "allow", revision=2, at=5))
    assert (found.strikes, found.removals, found.verdicts) == (0, 0, 1)


def test_order_and_duplicates_change_nothing():
    first, second = verdict("a", "remove"), verdict("a", "allow", revision=2, at=5)
    assert told(first, first, second, first).strikes == 0
    assert told(verdict("a", "allow"), verdict("a", "remove", revision=2)).strikes == 1


def test_what_is_kept_is_bounded():
    found = told(*(verdict(f"u{n}", "remove") for n in range(REMEMBERED + 50)))
    assert found.removals == REMEMBERED


def test_from_the_verdicts_that_hold():
    held = [(Action.REMOVE, after(0)), (Action.RESTRICT, after(0)), (Action.ALLOW, after(0))]
    found = known_uploader(POLICY, held, after(10 * DAY))
    assert found.strikes == pytest.approx(0.625)
    assert (found.removals, found.verdicts) == (1, 3)
    assert found == told(
        verdict("a", "remove"), verdict("b", "restrict"), verdict("c", "allow"), at=10 * DAY
    )


def test_what_a_cap_restricted_leaves_no_strike():
    capped = verdict("u1", "restrict", decided_by="cap")
    assert told(capped).strikes == 0
    assert told(capped).verdicts == 1
    assert told(capped, verdict("u1", "remove", revision=2, decided_by="reviewer")).strikes == 1
