"""A flood of messages for unknown uploads: bounded, counted, and no harm to anybody else."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from apache_beam.pvalue import TaggedOutput
from google.pubsub_v1.types import PubsubMessage
from hypothesis import given
from hypothesis import strategies as st

from quorum.core.identity.signing import PUBLISHER
from quorum.core.messages import DeadLetter, Prediction, Review, Verdict, now, prediction_id
from quorum.pipeline.cases import orphans as module
from quorum.pipeline.cases.dofn import _NO_PLACE
from quorum.pipeline.cases.in_memory import InMemoryCaseDoFn
from quorum.pipeline.cases.in_state import StreamCaseDoFn
from quorum.pipeline.cases.orphans import OrphanPlaces, Place, Waiting
from quorum.pipeline.cases.table import CaseTable, case_table
from quorum.pipeline.streams.acks import acknowledge, register
from quorum.pipeline.streams.base import Joined, Outgoing, Received
from tests.pipeline.doubles import POLICY, policy, upload
from tests.pipeline.jobs import Job, Streams, wait_until


def prediction(upload_id: str, detector: str, score: float = 0.1) -> bytes:
    return Prediction(
        id=prediction_id(upload_id, detector, "1"),
        upload_id=upload_id,
        detector=detector,
        version="1",
        status="scored",
        score=score,
        at=now() - timedelta(seconds=1),
    ).to_bytes()


class DecideStep:
    """One decide step in this process, with the broker's side of it."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.dofn: Any = InMemoryCaseDoFn(name, policy())
        self.dofn.setup()
        self.table = case_table(name)
        self.held: set[str] = set()
        self.most_held = 0
        self.given = 0
        self.dead: list[DeadLetter] = []
        self.verdicts: list[Verdict] = []
        register(f"s-{name}", self)

    def release(self, ids: Iterable[str]) -> None:
        self.held -= set(ids)

    def give(self, upload_id: str, stream: str, data: bytes, **attributes: str) -> None:
        number = str(self.given)
        self.given += 1
        self.held.add(number)
        self.most_held = max(self.most_held, len(self.held))
        received = Received(data, attributes, f"s-{self.name}|{number}", stream)
        self._take(self.dofn.process((upload_id, Joined((received,)))))

    def run_due(self) -> None:
        while due := self.table.take_due(256, 0.0):
            for upload_id in due:
                self._take(self.dofn.process((upload_id, Joined(()))))

    def _take(self, outputs: Any) -> None:
        for output in outputs:
            outgoing = output.value if isinstance(output, TaggedOutput) else output
            assert isinstance(outgoing, Outgoing)
            for message in outgoing.messages:
                (self.verdicts if isinstance(message, Verdict) else self.dead).append(message)
            acknowledge(outgoing.ack_ids)


def test_beyond_the_bound_the_oldest_stranger_is_a_dead_letter_at_once() -> None:
    job = DecideStep("flood")
    sent = [prediction(f"nobody-{number}", "alpha") for number in range(3_000)]
    for number, data in enumerate(sent):
        job.give(f"nobody-{number}", "predictions", data, mine="kept")
        if number % 50 == 0:
            job.run_due()
    job.run_due()
    bound = module.MOST_OF_A_PUBLISHER
    assert [letter.data for letter in job.dead] == sent[: 3_000 - bound]
    assert len(job.held) == bound
    assert job.most_held <= bound + 51
    letter = job.dead[0]
    assert (letter.stage, letter.original) == ("decide.predictions", {"mine": "kept"})
    assert "its upload did not arrive" in letter.error
    job.give("true", "predictions", prediction("true", "alpha", 0.95))
    job.give("true", "predictions", prediction("true", "beta"))
    job.run_due()
    job.give("true", "uploads", upload("true"))
    (verdict,) = job.verdicts
    assert (verdict.upload_id, verdict.action, verdict.decided_by) == ("true", "remove", "policy")
    assert len(job.table._cases) == bound - 2 + 1
    assert len(job.table._heap) < 4 * bound


def test_a_publisher_s_flood_takes_no_place_of_another_s() -> None:
    job = DecideStep("publishers")
    for name in ("alpha", "beta"):
        job.give("early", "predictions", prediction("early", name), **{"quorum-publisher": "ours"})
    for number in range(module.MOST_OF_A_PUBLISHER + 500):
        job.give(f"nobody-{number}", "predictions", prediction(f"nobody-{number}", "alpha"))
    job.run_due()
    assert len(job.dead) == 500
    job.give("early", "uploads", upload("early"))
    assert [verdict.decided_by for verdict in job.verdicts] == ["policy"]


def test_many_publishers_together_leave_half_of_what_may_be_held() -> None:
    job = DecideStep("many")
    for number in range(4_000):
        who = {"quorum-publisher": f"mask-{number}"}
        job.give(f"n-{number}", "predictions", prediction(f"n-{number}", "alpha"), **who)
    job.run_due()
    assert len(job.held) == module.MOST_OF_A_STREAM
    assert len(job.dead) == 4_000 - module.MOST_OF_A_STREAM
    assert len(job.table._orphans._publishers) == module.MOST_OF_A_STREAM


def test_copies_of_one_message_have_no_more_room() -> None:
    job = DecideStep("copies")
    data = prediction("nobody", "alpha")
    for _ in range(module.MOST_OF_A_PUBLISHER + 10):
        job.give("nobody", "predictions", data)
    job.run_due()
    assert len(job.held) <= module.MOST_OF_A_PUBLISHER
    assert {letter.data for letter in job.dead} == {data}


def test_reviews_and_predictions_have_places_of_their_own() -> None:
    job = DecideStep("reviews")
    job.give("early", "predictions", prediction("early", "alpha"))
    for number in range(module.MOST_OF_A_PUBLISHER + 5):
        review = Review(
            upload_id=f"n-{number}", verdict_id="v", action="allow", reviewer="ada", at=now()
        )
        job.give(f"n-{number}", "reviews", review.to_bytes())
    job.run_due()
    assert Counter(letter.stage for letter in job.dead) == {"decide.reviews": 5}


def test_large_messages_have_a_bound_of_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_BYTES_OF_A_PUBLISHER", 20_000)
    job = DecideStep("bytes")
    for number in range(200):
        job.give(f"n-{number}", "predictions", prediction(f"n-{number}", "alpha"))
    job.run_due()
    kept = 200 - len(job.dead)
    assert 0 < kept * len(job.dead[0].data) <= 20_000


def test_an_upload_that_comes_just_then_takes_its_predictions_with_it() -> None:
    """Its place is gone, and yet the messages are there until they are dead letters."""
    job = DecideStep("just-then")
    for name in ("alpha", "beta"):
        job.give("true", "predictions", prediction("true", name))
    for number in range(module.MOST_OF_A_PUBLISHER):
        job.give(f"nobody-{number}", "predictions", prediction(f"nobody-{number}", "alpha"))
    assert job.table._orphans.has_evicted("true")
    job.give("true", "uploads", upload("true"))
    job.run_due()
    assert [verdict.decided_by for verdict in job.verdicts] == ["policy"]
    assert not job.dead
    assert not job.table._orphans._evicted


@given(
    st.lists(
        st.tuples(
            st.sampled_from("uvwxyz"),
            st.lists(
                st.tuples(st.sampled_from("abc"), st.sampled_from("pq"), st.integers(1, 3)),
                unique_by=lambda one: one[0],
                max_size=3,
            ),
        ),
        max_size=40,
    )
)
def test_the_places_are_counted_right_whatever_comes(
    steps: list[tuple[str, list[tuple[str, str, int]]]],
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "MOST_OF_A_PUBLISHER", 4)
        patch.setattr(module, "MOST_OF_A_STREAM", 6)
        places = OrphanPlaces()
        cases: dict[str, dict[str, Waiting]] = {}
        for upload_id, given_ in steps:
            waiting = {
                key: Waiting(key, Place("predictions", publisher), count, 10)
                for key, publisher, count in given_
            }
            cases[upload_id] = waiting
            for other in places.update(upload_id, waiting.values()):
                for key in places.take_evicted(other):
                    del cases[other][key]
                places.update(other, cases[other].values())
        assert not places._evicted
        for publisher in "pq":
            held = [one for case in cases.values() for one in case.values()
                    if one.place.publisher == publisher]  # fmt: skip
            assert sum(one.messages for one in held) <= 4
            queue = places._publishers.get(Place("predictions", publisher))
            assert (queue.messages if queue else 0) == sum(one.messages for one in held)
        everything = sum(one.messages for case in cases.values() for one in case.values())
        assert places.messages("predictions") == everything <= 6


def test_the_heap_of_a_table_does_not_grow_with_what_is_gone() -> None:
    table = CaseTable()
    for number in range(50_000):
        table.put(f"u{number}", b"", 4e9 + number)
        table.remove(f"u{number}")
    assert len(table._heap) <= 1_001
    assert not table._due


class _Bag:
    """The state of one case, as an engine keeps it."""

    def __init__(self) -> None:
        self.kept: list[bytes] = []

    def read(self) -> list[bytes]:
        return self.kept

    def add(self, data: bytes) -> None:
        self.kept.append(data)

    def clear(self) -> None:
        self.kept = []


class _Timer:
    """The timer of one case."""

    def __init__(self) -> None:
        self.at: float | None = None

    def set(self, at: Any) -> None:
        self.at = float(at)

    def clear(self) -> None:
        self.at = None


class Engine:
    """A decide step with its cases in an engine's state, under a clock that the test moves."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.at = now()
        monkeypatch.setattr("quorum.pipeline.cases.dofn.now", lambda: self.at)
        monkeypatch.setattr("quorum.pipeline.cases.in_state.now", lambda: self.at)
        self.step = StreamCaseDoFn(policy())
        self.step.setup()
        self.cases: dict[str, tuple[_Bag, _Timer]] = {}
        self.dead: list[DeadLetter] = []
        self.verdicts: list[Verdict] = []

    @property
    def kept(self) -> int:
        return sum(bool(bag.kept) for bag, _ in self.cases.values())

    def give(self, upload_id: str, stream: str, data: bytes, publisher: str = "") -> None:
        attributes = {PUBLISHER: publisher} if publisher else {}
        received = Received(data, attributes, "", stream, self.at.timestamp())
        bag, timer = self.cases.setdefault(upload_id, (_Bag(), _Timer()))
        self._take(self.step.process((upload_id, Joined((received,))), bag, timer))

    def move(self, seconds: float) -> None:
        self.at += timedelta(seconds=seconds)
        for bag, timer in self.cases.values():
            if timer.at is not None and timer.at <= self.at.timestamp():
                timer.at = None
                self._take(self.step.on_due(bag, timer))

    def _take(self, outputs: Iterable[Any]) -> None:
        for one in outputs:
            if isinstance(one, TaggedOutput):
                self.dead += one.value.messages
            else:
                self.verdicts += one.messages


def test_a_publishers_flood_is_short_lived_in_the_state_of_an_engine(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "MOST_OF_A_PUBLISHER", 10)
    monkeypatch.setattr(module, "MOST_OF_A_STREAM", 1_000)
    engine = Engine(monkeypatch)
    for name in ("alpha", "beta"):
        engine.give("true", "predictions", prediction("true", name), "honest")
    most = 0
    for number in range(200):
        engine.give(
            f"nobody-{number}", "predictions", prediction(f"nobody-{number}", "alpha"), "flood"
        )
        engine.move(0.2)
        most = max(most, engine.kept)
    # The first ten wait as a message should; each later one as long as ten take to come.
    assert most <= 1 + 10 + 11
    engine.move(3)
    assert engine.kept == 11
    assert {one.error for one in engine.dead} == {_NO_PLACE}
    assert len(engine.dead) == 190
    engine.give("true", "uploads", upload("true"))
    assert [(one.upload_id, one.action.value) for one in engine.verdicts] == [("true", "allow")]
    engine.move(600)
    assert len(engine.dead) == 200


def test_a_late_timer_of_an_engine_gives_no_message_more_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "MOST_OF_A_PUBLISHER", 1)
    engine = Engine(monkeypatch)
    for name in ("first", "second"):
        engine.give(name, "predictions", prediction(name, "alpha"), "flood")
    assert engine.cases["second"][1].at == pytest.approx(engine.at.timestamp() + module.LEAST_WAIT)
    engine.at += timedelta(seconds=5)
    engine.give("second", "uploads", upload("second"))
    assert [one.error for one in engine.dead] == [_NO_PLACE]
    assert engine.kept == 2


@pytest.mark.long
@pytest.mark.emulator
@pytest.mark.prism
@pytest.mark.slow
@pytest.mark.timeout(400)
def test_six_thousand_strangers_blind_nobody(emulator: str, prism: str, tmp_path: Path) -> None:
    """Before, they filled what a subscription holds: 40 of 40 went to review at the deadline."""
    streams = Streams()
    rules = tmp_path / "policy.yaml"
    # Strangers wait for ten minutes; a loaded machine needs time for them, too.
    rules.write_text(POLICY.replace("deadline: 30 s", "deadline: 60 s"))
    with Job(
        "decide",
        *("--uploads", streams.subscription("uploads-decide")),
        *("--predictions", streams.subscription("predictions-decide")),
        *("--reviews", streams.subscription("reviews-decide")),
        *("--verdicts", streams.topic("verdicts")),
        *("--dead-letters", streams.topic("dead-letters")),
        *("--policy", str(rules)),
        folder=tmp_path,
    ) as job:
        streams.publish("uploads", [upload("first")])
        streams.publish("predictions", [prediction("first", name) for name in ("alpha", "beta")])
        streams.await_verdicts({"first"}, job)
        strangers = [prediction(f"nobody-{number}", "alpha", 0.99) for number in range(6_000)]
        for start in range(0, 6_000, 1_000):
            streams.publisher.publish(
                topic=streams.topic("predictions"),
                messages=[PubsubMessage(data=data) for data in strangers[start : start + 1_000]],
            )
        true = {f"true-{number}": 0.95 if number % 2 else 0.1 for number in range(40)}
        streams.publish("uploads", [upload(name) for name in true])
        streams.publish(
            "predictions",
            [
                prediction(name, detector, score if detector == "alpha" else 0.1)
                for name, score in true.items()
                for detector in ("alpha", "beta")
            ],
        )
        streams.await_verdicts(set(true), job, 120)
        decided = {verdict.upload_id: verdict for verdict in streams.verdicts}
        assert {decided[name].decided_by for name in true} == {"policy"}
        assert {name: decided[name].action.value for name in true} == {
            name: "remove" if score > 0.9 else "allow" for name, score in true.items()
        }
        over = 6_000 - module.MOST_OF_A_PUBLISHER
        wait_until(lambda: streams.listen() or len(streams.dead) >= over, 60, job.log)
        assert job.stop() == 0, job.log()
    assert {letter.data for letter in streams.dead} <= set(strangers)
    assert {letter.stage for letter in streams.dead} == {"decide.predictions"}
