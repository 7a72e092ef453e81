"""The checker of the soak, on histories made by hand: a good one, and a bad one an invariant."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from benchmarks.soak.checker import INVARIANTS, Checked, check
from benchmarks.soak.expectation import is_innocent
from benchmarks.soak.facts import Facts
from benchmarks.soak.history import (
    Acked,
    DeadLetterSeen,
    Delivered,
    Event,
    History,
    JobEnded,
    Left,
    Outage,
    Published,
    Sample,
    Started,
    Stored,
    Survivors,
    VerdictSeen,
    key_of,
    read_history,
)
from benchmarks.soak.setting import Setting
from benchmarks.soak.workload import prediction
from quorum.aggregator.decider import Decider
from quorum.aggregator.policy.policy import Policy
from quorum.core.messages import Action, Prediction, Review, Upload, Verdict

OTHER = "another title"
T0 = 1_800_000_000.0
POLICY = Setting(Path("folder"), Path("media"), deadline=10.0, retention=60.0).policy_text
DECIDER = Decider(Policy.from_text(POLICY))


def time_of(after: float) -> datetime:
    return datetime.fromtimestamp(T0 + after, UTC)


def upload(name: str, title: str = "a river", second: int = 0) -> bytes:
    at = f"2026-01-01T00:00:{second:02}Z"
    return json.dumps({"id": name, "uploader": "x", "title": title, "published_at": at}).encode()


def own(data: bytes, words: float | None = None) -> list[Prediction]:
    """What the detectors say of an upload alone: another title is bad."""
    read = Upload.from_bytes(data)
    if words is None:
        words = 0.95 if read.title == OTHER else 0.2
    scores = {"words": words, "frames": 0.1, "odd": 0.1}
    return [prediction(read.id, detector, score, time_of(0)) for detector, score in scores.items()]


def published(at: float, data: bytes, kind: str = "text", stream: str = "uploads") -> Published:
    try:
        values = json.loads(data)
        name = values.get("upload_id") or values["id"]
    except ValueError:
        name = ""
    return Published(at=T0 + at, stream=stream, kind=kind, upload_id=name, data=data)


def verdict(at: float, data: bytes, predictions: Sequence[Prediction]) -> Verdict:
    return DECIDER.first(
        Upload.from_bytes(data), predictions, arrived=time_of(at), at=time_of(at)
    ).verdict


def stored(at: float, name: str) -> Stored:
    return Stored(at=T0 + at, stream="verdicts", keys=(name,))


def seen(at: float, made: Verdict) -> VerdictSeen:
    return VerdictSeen(at=T0 + at, data=made.to_bytes())


def life(data: bytes, *, at: float = 0.0, ends: float = 1.0, kind: str = "text") -> list[Event]:
    """An upload that is decided as it should be."""
    name = Upload.from_bytes(data).id
    return [
        published(at, data, kind),
        Delivered(at=T0 + at, stream="uploads", key=key_of(data), attempt=1),
        stored(ends, name),
        Acked(at=T0 + ends, stream="uploads", key=key_of(data)),
        seen(ends, verdict(ends, data, own(data))),
    ]


def dead(at: float, data: bytes) -> DeadLetterSeen:
    return DeadLetterSeen(at=T0 + at, original=data, stage="stream.uploads", error="not valid")


def judged(events: Sequence[Event]) -> Checked:
    started = Started(at=T0, command="again", policy=POLICY, deadline=10.0, slack=2.0)
    facts = Facts([started, *events])
    plain = {
        one.key: own(one.upload.to_bytes())[: None if is_innocent(one) else 2]
        for one in facts.contents
    }
    return check(facts, plain)


def broken(events: Sequence[Event]) -> set[str]:
    return {one.invariant for one in judged(events).broken}


FIRST = upload("a")
GOOD: list[Event] = [
    *life(FIRST),
    *life(upload("b"), at=1.0, ends=2.0),
    published(1.0, b"nonsense", "malformed"),
    Stored(at=T0 + 1.5, stream="dead-letters", keys=(key_of(b"nonsense"),)),
    Acked(at=T0 + 1.5, stream="uploads", key=key_of(b"nonsense")),
    dead(1.6, b"nonsense"),
    Outage(at=T0 + 5, kind="kill", until=T0 + 9, loses_state=True),
    Survivors(at=T0 + 5, names=("Prism",)),
    JobEnded(at=T0 + 5, code=-9, by="kill"),
    JobEnded(at=T0 + 20, code=0, by="drain"),
    Left(at=T0 + 21, stream="uploads-stream", keys=()),
]


def test_a_good_history_breaks_nothing_and_every_invariant_looked_at_something() -> None:
    checked = judged(GOOD)
    assert checked.broken == ()
    assert set(checked.counts) == set(INVARIANTS)
    assert all(count > 0 for count in checked.counts.values()), checked.counts


def without(kind: type[Event], data: bytes) -> list[Event]:
    def is_it(event: Event) -> bool:
        if isinstance(event, VerdictSeen):
            return Verdict.from_bytes(event.data).upload_id == Upload.from_bytes(data).id
        if isinstance(event, DeadLetterSeen):
            return event.original == data
        return False

    return [event for event in GOOD if not (isinstance(event, kind) and is_it(event))]


def test_an_upload_without_an_outcome_is_lost() -> None:
    assert broken(without(VerdictSeen, FIRST)) == {"ended"}


def test_an_upload_with_verdict_and_dead_letter_ended_twice() -> None:
    assert broken([*GOOD, dead(3.0, FIRST)]) == {"ended"}


def test_an_edit_needs_a_verdict_on_its_content() -> None:
    edit = upload("a", OTHER, 1)
    event = published(3.0, edit, "edit:again")
    assert broken([*GOOD, event]) == {"ended", "outcome"}
    first = verdict(1.0, FIRST, own(FIRST))
    second = verdict(4.0, edit, own(edit)).model_copy(
        update={"revision": 2, "supersedes": first.id}
    )
    assert broken([*GOOD, event, seen(4.0, second)]) == set()
    assert broken([*GOOD, event, seen(22.0, second)]) == {"deadline"}


def test_a_content_that_an_edit_replaced_in_time_needs_no_verdict_of_its_own() -> None:
    edit = upload("e", OTHER, 1)
    first = published(0.0, upload("e"), "edit")
    assert broken([*GOOD, first, *life(edit, at=0.2, ends=1.2, kind="edit:again")]) == set()


def test_an_old_content_that_holds_again_undid_the_edit() -> None:
    edit = upload("a", OTHER, 1)
    undone = verdict(6.0, FIRST, own(FIRST)).model_copy(
        update={"revision": 3, "id": "third", "supersedes": "second"}
    )
    second = verdict(4.0, edit, own(edit)).model_copy(
        update={"id": "second", "revision": 2, "supersedes": verdict(1.0, FIRST, own(FIRST)).id}
    )
    event = published(3.0, edit, "edit:again")
    events = [*GOOD, event, seen(4.0, second), seen(6.0, undone)]
    dated = undone.model_copy(update={"published_at": time_of(9)})
    assert "outcome" not in broken(events)
    assert "outcome" in broken([*events, seen(6.5, dated)])


def test_a_malformed_message_without_its_dead_letter_is_lost() -> None:
    assert broken(without(DeadLetterSeen, b"nonsense")) == {"dead"}


@pytest.mark.parametrize("kind", ["future:prediction", "stranger"])
def test_a_forged_message_without_its_dead_letter_counted(kind: str) -> None:
    forged = prediction("a", "partner", 0.99, time_of(0)).to_bytes()
    assert broken([*GOOD, published(2.0, forged, kind, "partner")]) == {"dead"}


def test_two_verdicts_of_one_revision_are_two_decisions() -> None:
    other = verdict(1.5, FIRST, own(FIRST, words=0.95))
    assert "one" in broken([*GOOD, seen(1.5, other)])


def test_two_verdicts_of_one_revision_are_allowed_around_a_kill() -> None:
    failed = own(FIRST)
    failed[2] = Prediction.model_validate(
        {**failed[2].model_dump(), "status": "failed", "score": None, "reason": "killed"}
    )
    early = verdict(1.0, FIRST, own(FIRST))
    late = verdict(9.5, FIRST, failed)
    assert early.id != late.id and early.revision == late.revision == 1
    events = [published(0.0, FIRST), *life(FIRST)[1:4], seen(1.0, early), seen(9.5, late)]
    kill = Outage(at=T0 + 5, kind="kill", until=T0 + 9, loses_state=True)
    assert "one" not in broken([*events, kill])
    assert "one" in broken([*events, replace(kill, loses_state=False)])


def test_a_revision_names_what_it_supersedes() -> None:
    made = verdict(1.0, FIRST, own(FIRST))
    second = made.model_copy(
        update={"id": "other", "revision": 2, "supersedes": "nothing", "at": time_of(2)}
    )
    assert "one" in broken([*GOOD, seen(2.0, second)])
    fine = second.model_copy(update={"supersedes": made.id})
    assert "one" not in broken([*GOOD, seen(2.0, fine)])


def test_a_verdict_that_the_broker_confirmed_and_lost_is_not_missed() -> None:
    made = verdict(1.0, FIRST, own(FIRST))
    second = made.model_copy(
        update={"id": "other", "revision": 2, "supersedes": made.id, "at": time_of(8)}
    )
    stored = Stored(at=T0 + 1, stream="verdicts", keys=("a",))
    remade = Outage(at=T0 + 2, kind="remade", until=T0 + 4)
    events = [published(0.0, FIRST), seen(8.0, second)]
    assert "one" in broken(events)
    assert "one" in broken([*events, remade])
    assert "one" in broken([*events, stored, replace(remade, kind="away")])
    assert "one" in broken([*events, replace(stored, at=T0 + 5), remade])
    assert "one" not in broken([*events, stored, remade])


def test_a_late_verdict_breaks_the_deadline() -> None:
    assert broken(life(FIRST, ends=11.9)) == set()
    assert broken(life(FIRST, ends=12.1)) == {"deadline"}


def test_a_dead_letter_that_comes_late_breaks_the_deadline() -> None:
    events: list[Event] = [
        published(0.0, FIRST),
        dead(13.0, FIRST),
    ]
    assert broken(events) == {"deadline"}


def test_a_fault_begins_the_clock_again_at_its_end() -> None:
    pause = Outage(at=T0 + 3, kind="pause", until=T0 + 8)
    assert broken([*life(FIRST, ends=19.0), pause]) == set()
    assert broken([*life(FIRST, ends=21.0), pause]) == {"deadline"}


def test_a_fault_that_is_over_before_the_publication_excuses_nothing() -> None:
    pause = Outage(at=T0 - 8, kind="pause", until=T0 - 3)
    assert broken([*life(FIRST, ends=13.0), pause]) == {"deadline"}


def test_a_kill_begins_the_clock_again_at_the_next_delivery() -> None:
    kill = Outage(at=T0 + 3, kind="kill", until=T0 + 8, loses_state=True)
    again = Delivered(at=T0 + 16, stream="uploads", key=key_of(FIRST), attempt=2)
    assert broken([*life(FIRST, ends=25.0), kill]) == {"deadline"}
    assert broken([*life(FIRST, ends=25.0), kill, again]) == set()
    assert broken([*life(FIRST, ends=25.0), again]) == {"deadline"}


def test_a_verdict_that_its_inputs_do_not_give_contradicts_them() -> None:
    made = verdict(1.0, FIRST, own(FIRST)).model_copy(update={"action": Action.REMOVE})
    assert "inputs" in broken([published(0.0, FIRST), seen(1.0, made)])


def test_a_verdict_by_another_rule_contradicts_its_inputs() -> None:
    made = verdict(1.0, FIRST, own(FIRST)).model_copy(update={"rule": "bright"})
    assert broken([published(0.0, FIRST), seen(1.0, made)]) == {"inputs"}


def test_a_verdict_on_nothing_contradicts_its_inputs() -> None:
    stranger = upload("nobody")
    assert broken([*GOOD, seen(3.0, verdict(3.0, stranger, own(stranger)))]) == {"inputs"}


def reviewed(made: Verdict, at: float) -> Verdict:
    values: dict[str, Any] = {
        "id": "second", "revision": 2, "supersedes": made.id, "action": Action.RESTRICT,
        "rule": "review", "decided_by": "reviewer", "at": time_of(at),
    }  # fmt: skip
    return made.model_copy(update=values)


def test_a_reviewers_verdict_needs_the_review() -> None:
    made = verdict(1.0, FIRST, own(FIRST))
    review = Review.model_validate(
        {"upload_id": "a", "verdict_id": made.id, "action": "restrict", "reviewer": "ada",
         "at": time_of(2)}
    ).to_bytes()  # fmt: skip
    second = seen(3.0, reviewed(made, 3.0))
    assert broken([*GOOD, published(2.0, review, "review", "reviews"), second]) == set()
    assert broken([*GOOD, second]) == {"inputs", "outcome"}
    forged = published(2.0, review, "unknown:review", "reviews")
    assert broken([*GOOD, forged, dead(3.0, review), second]) == {"inputs", "outcome"}


def test_an_ack_before_the_verdict_is_durable_risks_the_upload() -> None:
    early = Acked(at=T0 + 0.5, stream="uploads", key=key_of(FIRST))
    assert broken([*GOOD, early]) == {"acks"}


def test_an_ack_of_a_malformed_message_before_its_dead_letter_risks_it() -> None:
    early = Acked(at=T0 + 1.2, stream="uploads", key=key_of(b"nonsense"))
    assert broken([*GOOD, early]) == {"acks"}


def test_an_innocent_whose_prediction_failed_was_hurt() -> None:
    predictions = own(FIRST)
    predictions[0] = Prediction.model_validate(
        {**predictions[0].model_dump(), "status": "failed", "score": None, "reason": "hangs"}
    )
    hurt = verdict(1.0, FIRST, predictions)
    events = [*life(FIRST)[:4], seen(1.0, hurt)]
    assert broken(events) == {"innocent", "outcome"}


def test_an_innocent_that_lacks_a_prediction_was_hurt_unless_a_fault_overlaps() -> None:
    hurt = verdict(1.0, FIRST, own(FIRST)[1:])
    events = [*life(FIRST)[:4], seen(1.0, hurt)]
    assert broken(events) == {"innocent", "outcome"}
    pause = Outage(at=T0 + 0.2, kind="pause", until=T0 + 0.8)
    assert broken([*events, pause]) == {"outcome"}


def test_the_upload_that_drives_a_detector_mad_goes_to_review() -> None:
    data = upload("m", "a river soak:loop")
    guilty = own(data)[:2]
    events = [published(0.0, data, "mad:loop"), *life(data)[1:4]]
    assert broken([*events, seen(1.0, verdict(1.0, data, guilty))]) == set()
    assert broken([*events, seen(1.0, verdict(1.0, data, own(data)))]) == {"outcome"}


def partner(score: float, at: float) -> Published:
    data = prediction("a", "partner", score, time_of(at)).to_bytes()
    return published(at, data, "partner", "partner")


def test_a_partners_prediction_that_changes_nothing_was_lost() -> None:
    event = partner(0.95, 0.5)
    assert broken([*GOOD, event]) == {"outcome"}
    assert broken([*GOOD, event, dead(15.0, event.data)]) == set()


def test_a_job_that_ends_by_itself_or_drains_badly_is_broken() -> None:
    assert broken([*GOOD, JobEnded(at=T0 + 30, code=1, by="", tail="why")]) == {"alive"}
    assert broken([*GOOD, JobEnded(at=T0 + 30, code=134, by="drain")]) == {"alive"}


def test_what_a_drained_job_leaves_unacknowledged_is_broken() -> None:
    left = Left(at=T0 + 21, stream="uploads-stream", keys=("x",))
    assert broken([*GOOD, left]) == {"alive"}


def test_a_child_that_outlives_its_worker_is_broken() -> None:
    assert broken([*GOOD, Survivors(at=T0 + 5, names=("Prism", "python"))]) == {"children"}


def test_what_broke_names_its_scenario_and_its_time() -> None:
    (one,) = judged([published(0.0, upload("d", "x"), "duplicate")]).broken
    assert (one.scenario, one.at) == ("duplicate", T0)


def test_a_history_is_read_as_it_was_written(tmp_path: Path) -> None:
    events = [
        *GOOD,
        Sample(at=T0, pid=1, uploads=2, verdicts=1, worker=3.0, children=0.0, prism=4.0,
               breakers={"odd": 2.0}),
    ]  # fmt: skip
    history = History(tmp_path / "history.jsonl")
    for event in events:
        history.add(event)
    history.close()
    assert list(read_history(tmp_path / "history.jsonl")) == events


def test_the_upload_that_drives_a_detector_mad_may_reach_its_deadline_with_nothing() -> None:
    data = upload("m", f"{OTHER} soak:loop")
    events = [published(0.0, data, "mad:loop"), *life(data)[1:4]]
    allowed = own(data)[:2]
    assert broken([*events, seen(1.0, verdict(1.0, data, allowed))]) == set()
    assert broken([*events, seen(1.0, verdict(1.0, data, []))]) == set()
    assert broken([*events, seen(1.0, verdict(1.0, data, own(data, 0.2)))]) == {"outcome"}
