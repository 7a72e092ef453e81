from __future__ import annotations

from quorum.core.messages import Action
from quorum.store.histories import PastVerdictsSource
from quorum.store.ledger import Ledger, PastVerdicts
from tests.store.ledger.messages_for_ledger import at, upload, verdict

STRUCK = frozenset({Action.REMOVE, Action.RESTRICT})


def filled(ledger: Ledger) -> None:
    """Of by-0: up-0 removed and restored, up-3 removed, up-6 allowed; of by-1: up-1 removed."""
    ledger.record([upload(number) for number in (0, 1, 3, 6)])
    first = verdict(0, action=Action.REMOVE, minutes=1)
    ledger.record(
        [
            first,
            verdict(3, action=Action.REMOVE, minutes=2),
            verdict(6, action=Action.ALLOW, minutes=3),
            verdict(1, action=Action.REMOVE, minutes=4),
            verdict(0, 2, action=Action.ALLOW, minutes=10, supersedes=first.id),
        ]
    )


def test_the_verdicts_that_hold_are_listed(ledger: Ledger) -> None:
    filled(ledger)
    source: PastVerdictsSource = ledger
    found = source.past_verdicts(["by-0", "by-1", "nobody"], STRUCK)
    when = {key: made for past in found.values() for key, _, made in past.chosen}
    assert found["by-0"] == PastVerdicts(3, (("up-3", Action.REMOVE, when["up-3"]),))
    assert found["by-1"] == PastVerdicts(1, (("up-1", Action.REMOVE, when["up-1"]),))
    assert found["nobody"] == PastVerdicts()


def test_as_it_stood_at_a_time(ledger: Ledger) -> None:
    filled(ledger)
    made = {
        case.upload_id: [one.at for one in case.verdicts]
        for case in ledger.get_cases([f"up-{n}" for n in (0, 3, 6)], parts=("verdicts",))
    }
    before = ledger.verdicts_before("by-0", STRUCK, made["up-6"][0])
    assert before.decided == 2
    assert {key for key, _, _ in before.chosen} == {"up-0", "up-3"}
    after = ledger.verdicts_before("by-0", STRUCK, at(1000))
    assert after.decided == 3
    assert {key for key, _, _ in after.chosen} == {"up-3"}
    assert ledger.verdicts_before("by-0", STRUCK, made["up-0"][0]) == PastVerdicts()


def test_only_the_newest_are_listed(ledger: Ledger) -> None:
    numbers = range(0, 900, 3)
    ledger.record([upload(number) for number in numbers])
    ledger.record([verdict(n, action=Action.REMOVE, minutes=n) for n in numbers])
    past = ledger.past_verdicts(["by-0"], STRUCK)["by-0"]
    assert past.decided == 300
    assert len(past.chosen) == 200
    times = [made for _, _, made in past.chosen]
    assert times == sorted(times, reverse=True)
    assert past.chosen[0][0] == "up-897"
