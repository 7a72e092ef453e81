"""The stateful step driven directly: every ack_id ends once, and nothing is kept for ever."""

from __future__ import annotations

import base64
import gzip
import itertools
import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from apache_beam.pvalue import TaggedOutput
from hypothesis import example, given, settings
from hypothesis import strategies as st

from quorum.aggregator.decision.compact import CompactPrediction
from quorum.core.messages import (
    DeadLetter,
    Message,
    Prediction,
    Review,
    Upload,
    Verdict,
    prediction_id,
)
from quorum.pipeline.cases import dofn as module
from quorum.pipeline.cases.in_memory import InMemoryCaseDoFn
from quorum.pipeline.cases.in_state import BoundedCaseDoFn, StreamCaseDoFn
from quorum.pipeline.cases.table import case_table
from quorum.pipeline.decide import MAX_JOINED_BYTES, KeyByUpload
from quorum.pipeline.streams.acks import abandon, ack_id, acknowledge, register
from quorum.pipeline.streams.base import Joined, Outgoing, Received
from tests.pipeline.doubles import policy, upload

START = datetime(2026, 3, 1, 12, tzinfo=UTC)
#: Tables of cases outlive a test: each job has a name of its own.
_JOBS = itertools.count()
POLICY = policy()
#: Past the deadline, the wait of orphans and the retention of the policy.
FOR_EVER = 100_000.0


@dataclass
class State:
    """A bag of state that an engine keeps for a key."""

    value: bytes | None = None

    def read(self) -> list[bytes]:
        return [] if self.value is None else [self.value]

    def add(self, value: bytes) -> None:
        assert self.value is None
        self.value = value

    def clear(self) -> None:
        self.value = None


@dataclass
class Timer:
    at: float | None = None

    def set(self, at: Any) -> None:
        self.at = at.micros / 1e6

    def clear(self) -> None:
        self.at = None


@dataclass
class Key:
    """One upload's case, as an engine would run it, with a clock of its own."""

    clock: float = 0.0
    state: State = field(default_factory=State)
    timer: Timer = field(default_factory=Timer)
    verdicts: list[Verdict] = field(default_factory=list)
    dead: list[DeadLetter] = field(default_factory=list)
    released: list[str] = field(default_factory=list)
    given: list[tuple[str, bytes]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.dofn = StreamCaseDoFn(POLICY)
        self.dofn.setup()

    def now(self) -> datetime:
        return START + timedelta(seconds=self.clock)

    def _process(self, joined: Joined) -> Any:
        return self.dofn.process(("u", joined), self.state, self.timer)

    def _take(self, outputs: Any) -> None:
        for output in outputs:
            assert isinstance(output, TaggedOutput | Outgoing)
            outgoing = output.value if isinstance(output, TaggedOutput) else output
            for message in outgoing.messages:
                (self.verdicts if isinstance(message, Verdict) else self.dead).append(message)
            self.released += outgoing.ack_ids

    def give(self, *messages: tuple[str, bytes], ack_ids: bool = True) -> None:
        received = []
        for stream, data in messages:
            ack_id = f"s|{len(self.given)}" if ack_ids else ""
            self.given.append((ack_id, data))
            received.append(Received(data, {"n": "1"}, ack_id, stream, START.timestamp()))
        self._take(self._process(Joined(tuple(received))))

    def fire(self) -> None:
        self._take(self.dofn.on_due(self.state, self.timer))

    def wait(self, seconds: float, *, late: bool = False) -> None:
        """Let time pass; an engine may fire timers late, and not in its time."""
        end = self.clock + seconds
        while not late and self.timer.at is not None:
            due = self.timer.at - START.timestamp()
            if due > end:
                break
            self.clock = max(self.clock, due)
            self.timer.at = None
            self.fire()
        self.clock = end

    def end(self) -> None:
        self.wait(0)
        self.wait(FOR_EVER)


class ProcessKey(Key):
    """The same in the memory of the worker's process; what is published is acknowledged at once."""

    def __post_init__(self) -> None:
        self.dofn: Any = InMemoryCaseDoFn(f"job-{next(_JOBS)}", POLICY)
        self.dofn.setup()
        register("s", self)
        self._follow()

    def release(self, ids: Iterable[str]) -> None:
        self.released += [f"s|{each}" for each in ids]

    def _follow(self) -> None:
        table = case_table(self.dofn.job)
        kept = table.get("u")
        self.state.value = kept.snapshot() if hasattr(kept, "snapshot") else kept
        self.timer.at = table._due.get("u")

    def _process(self, joined: Joined) -> Any:
        table = case_table(self.dofn.job)
        if self.state.value is None:
            table.remove("u")
        made = self.dofn.process(("u", joined))
        own = ack_id(self.dofn.job, "u")
        outputs = []
        for each in made:
            if isinstance(each, Outgoing) and own in each.ack_ids:
                assert each.messages
                rest = tuple(one for one in each.ack_ids if one != own)
                outputs.append(Outgoing(each.messages, rest))
                acknowledge([own])
            else:
                outputs.append(each)
        self._follow()
        return outputs

    def fire(self) -> None:
        self._take(self._process(Joined(())))


KEYS = pytest.mark.parametrize("kind", [Key, ProcessKey])


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> Any:
    def use(key: Key) -> Key:
        monkeypatch.setattr(module, "now", key.now)
        return key

    return use


def prediction(detector: str, score: float = 0.1, at: float = 0.0, **more: Any) -> bytes:
    told = {
        "id": prediction_id("u", detector, "1"),
        "upload_id": "u",
        "detector": detector,
        "version": "1",
        "status": "scored",
        "score": score,
        "at": START + timedelta(seconds=at),
    } | more
    return Prediction(**told).to_bytes()


def review(action: str, at: float = 0.0, of: str = "v") -> bytes:
    return Review(
        upload_id="u", verdict_id=of, action=action, reviewer="ada",
        at=START + timedelta(seconds=at),
    ).to_bytes()  # fmt: skip


UPLOAD = ("uploads", upload("u"))
ALPHA = ("predictions", prediction("alpha"))
BETA = ("predictions", prediction("beta"))
CERTAIN = ("predictions", prediction("alpha", 0.95, at=1.0))
EDIT = ("uploads", upload("u", title="edited", published_at="2026-01-31T12:00:01Z"))
CONTENTS = [None, "unknown", *(Upload.from_bytes(one[1]).digest for one in (UPLOAD, EDIT))]
MESSAGES = st.one_of(
    st.just(UPLOAD),
    st.just(EDIT),
    st.builds(
        lambda detector, score, at, content: (
            "predictions",
            prediction(detector, score, at, digest=content),
        ),
        st.sampled_from(["alpha", "beta", "gamma"]),
        st.sampled_from([0.1, 0.6, 0.95]),
        st.sampled_from([0.0, 5.0]),
        st.sampled_from(CONTENTS),
    ),
    st.builds(
        lambda action, at: ("reviews", review(action, at)),
        st.sampled_from(["allow", "remove"]),
        st.sampled_from([0.0, 5.0]),
    ),
)
STEPS = st.lists(
    st.one_of(
        MESSAGES,
        st.lists(MESSAGES, min_size=2, max_size=4),
        st.just("fire"),
        st.tuples(
            st.sampled_from(["wait", "wait late"]),
            st.sampled_from([0.5, 29.0, 31.0, 599.0, 3700.0]),
        ),
    ),
    max_size=14,
)


@KEYS
@settings(max_examples=300, deadline=None)
@given(steps=STEPS)
@example(steps=[ALPHA, ("wait late", 3700.0), BETA])
@example(steps=[ALPHA, ("wait late", 3700.0), [ALPHA, BETA, UPLOAD]])
@example(steps=[UPLOAD, ALPHA, BETA, ("wait late", 3700.0), CERTAIN, UPLOAD])
@example(steps=[UPLOAD, ALPHA, BETA, EDIT, ("wait", 31.0), UPLOAD])
def test_every_ack_id_is_released_once_and_nothing_is_kept(
    kind: type[Key], steps: list[Any]
) -> None:
    key = kind()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "now", key.now)
        for step in steps:
            match step:
                case "fire":
                    key.fire()
                case ("wait", seconds):
                    key.wait(seconds)
                case ("wait late", seconds):
                    key.wait(seconds, late=True)
                case list():
                    key.give(*step)
                case _:
                    key.give(step)
        key.end()
    given = [ack_id for ack_id, _ in key.given]
    assert Counter(key.released) == Counter(given)
    assert key.state.value is None
    assert key.timer.at is None
    if any(data in (UPLOAD[1], EDIT[1]) for _, data in key.given):
        assert key.verdicts
    else:
        assert not key.verdicts
        assert {letter.data for letter in key.dead} == {data for _, data in key.given}


@KEYS
def test_nothing_is_released_before_its_end(kind: type[Key], clock: Any) -> None:
    key = clock(kind())
    key.give(ALPHA)
    key.give(UPLOAD)
    key.give(UPLOAD)
    assert (key.released, key.verdicts) == ([], [])
    key.give(BETA)
    assert sorted(key.released) == ["s|0", "s|1", "s|2", "s|3"]
    assert len(key.verdicts) == 1


@KEYS
def test_late_messages_are_released_at_once_with_or_without_a_revision(
    kind: type[Key], clock: Any
) -> None:
    key = clock(kind())
    key.give(UPLOAD, ALPHA, BETA)
    key.give(ALPHA)
    key.give(UPLOAD)
    assert [verdict.revision for verdict in key.verdicts] == [1]
    key.give(CERTAIN)
    key.give(("reviews", review("allow", at=2.0, of=key.verdicts[0].id)))
    assert [verdict.action for verdict in key.verdicts] == ["allow", "remove", "allow"]
    assert len(key.released) == len(key.given)


@KEYS
def test_a_forged_review_dies_whole_and_decides_nothing(kind: type[Key], clock: Any) -> None:
    key = clock(kind())
    early, late = ("reviews", review("allow", 1.0)), ("reviews", review("allow", 2.0))
    key.give(UPLOAD)
    key.give(early)
    key.give(early)
    assert (key.verdicts, key.dead, key.released) == ([], [], [])
    key.give(CERTAIN)
    key.give(BETA)
    assert [verdict.action for verdict in key.verdicts] == ["remove"]
    key.give(late)
    assert [verdict.action for verdict in key.verdicts] == ["remove"]
    assert [letter.data for letter in key.dead] == [early[1], late[1]]
    assert all(letter.original == {"n": "1"} for letter in key.dead)
    assert {letter.error for letter in key.dead} == {"it names no verdict on its upload"}
    assert sorted(key.released) == [f"s|{n}" for n in range(6)]


@KEYS
def test_a_review_that_overtakes_its_verdict_counts_once_it_is_made(
    kind: type[Key], clock: Any
) -> None:
    first = clock(kind())
    first.give(UPLOAD, ALPHA, BETA)
    (verdict,) = first.verdicts
    key = clock(kind())
    key.give(("reviews", review("remove", at=2.0, of=verdict.id)))
    key.give(UPLOAD)
    key.give(ALPHA)
    assert (key.released, key.verdicts) == ([], [])
    key.give(BETA)
    assert [(one.revision, one.action) for one in key.verdicts] == [(1, "allow"), (2, "remove")]
    assert key.verdicts[0].id == verdict.id
    assert sorted(key.released) == ["s|0", "s|1", "s|2", "s|3"]
    assert not key.dead


@KEYS
def test_silence_ends_at_the_deadline(kind: type[Key], clock: Any) -> None:
    key = clock(kind())
    key.give(UPLOAD)
    key.wait(29.9)
    assert not key.verdicts
    key.wait(0.2)
    assert [verdict.decided_by for verdict in key.verdicts] == ["deadline"]
    assert key.released == ["s|0"]


@KEYS
def test_an_orphan_dies_whole_and_once_however_often_it_came(kind: type[Key], clock: Any) -> None:
    key = clock(kind())
    data = prediction("gamma", 0.7).replace(b'"detector"', b'  "unknown": [1], "detector"')
    for _ in range(50):
        key.give(("predictions", data))
    assert len(key.state.value or b"") < 8_000
    key.end()
    (letter,) = key.dead
    assert letter.data == data
    assert letter.original == {"n": "1"}
    assert letter.stage == "decide.predictions"
    assert len(key.released) == 50
    assert key.state.value is None


@KEYS
def test_an_orphan_in_gzip_dies_as_it_came_and_decides_as_its_content(
    kind: type[Key], clock: Any
) -> None:
    alone = clock(kind())
    data = gzip.compress(prediction("gamma", 0.7))
    alone.give(("predictions", data))
    alone.end()
    assert [letter.data for letter in alone.dead] == [data]
    joined = clock(kind())
    joined.give(("predictions", gzip.compress(prediction("spam", 0.99))))
    joined.give(("uploads", upload("u")))
    joined.end()
    plain = clock(kind())
    plain.give(("predictions", prediction("spam", 0.99)))
    plain.give(("uploads", upload("u")))
    plain.end()
    assert not joined.dead
    assert [one.action for one in joined.verdicts] == [one.action for one in plain.verdicts]
    assert joined.verdicts[-1].predictions == plain.verdicts[-1].predictions != ()


def test_an_upload_in_an_envelope_joins_as_plain_json() -> None:
    """A case keeps an upload's bytes, and restores itself from them."""
    body = base64.b64encode(upload("u", title="half \U0001f600")).decode()
    for data in (
        json.dumps({"message": {"data": body}}).encode(),
        upload("u", title="half X").replace(b"X", rb"\ud83d"),
    ):
        keyed = KeyByUpload()
        keyed.setup()
        ((key, joined),) = keyed.process(Received(data, {"a": "b"}, "s|1", "uploads"))
        (received,) = joined.messages
        assert key == "u"
        assert Upload.from_bytes(received.data) == joined.upload
        assert received.attributes == {"a": "b"}


def test_what_would_fill_a_case_once_it_is_unpacked_is_a_dead_letter() -> None:
    large = "x" * MAX_JOINED_BYTES
    data = gzip.compress(prediction("gamma", labels={large: 0.5}))
    keyed = KeyByUpload()
    keyed.setup()
    (output,) = keyed.process(Received(data, {}, "s|1", "predictions"))
    assert isinstance(output, TaggedOutput)
    (letter,) = output.value.messages
    assert letter.data == data


@KEYS
def test_orphans_that_claim_one_id_each_die_whole(kind: type[Key], clock: Any) -> None:
    key = clock(kind())
    claimed = [prediction(name, id="claimed") for name in ("gamma", "delta", "epsilon")]
    for data in claimed:
        key.give(("predictions", data))
    key.end()
    assert sorted(letter.data for letter in key.dead) == sorted(claimed)
    assert sorted(key.released) == ["s|0", "s|1", "s|2"]


@KEYS
def test_an_upload_after_a_late_timer_keeps_the_predictions_that_came_with_it(
    kind: type[Key], clock: Any
) -> None:
    key = clock(kind())
    stray = ("predictions", prediction("gamma"))
    key.give(stray)
    key.wait(700.0, late=True)
    key.give(ALPHA, BETA, UPLOAD)
    assert [verdict.decided_by for verdict in key.verdicts] == ["policy"]
    assert [letter.data for letter in key.dead] == [stray[1]]


@KEYS
def test_an_orphan_after_a_late_timer_leaves_no_state_behind(kind: type[Key], clock: Any) -> None:
    key = clock(kind())
    key.give(ALPHA)
    key.wait(700.0, late=True)
    key.give(BETA)
    key.end()
    assert key.state.value is None
    assert len(key.dead) == 2


@KEYS
def test_a_restart_without_state_decides_nothing_from_a_prediction_alone(
    kind: type[Key], clock: Any
) -> None:
    key = clock(kind())
    key.give(UPLOAD, ALPHA, BETA)
    key.state.clear()
    key.timer.clear()
    key.give(CERTAIN)
    key.end()
    assert [verdict.revision for verdict in key.verdicts] == [1]
    assert [letter.data for letter in key.dead] == [CERTAIN[1]]


@settings(max_examples=100, deadline=None)
@given(messages=st.lists(MESSAGES, min_size=1, max_size=10), ack_ids=st.booleans())
def test_a_bounded_input_ends_every_message(messages: list[Any], ack_ids: bool) -> None:
    dofn = BoundedCaseDoFn(POLICY)
    dofn.setup()
    key, state = Key(), State()
    for number, (stream, data) in enumerate(messages):
        received = Received(data, {}, f"s|{number}" if ack_ids else "", stream)
        key._take(dofn.process(("u", Joined((received,))), state, Timer()))
    key._take(dofn.on_end(state))
    assert state.value is None
    assert Counter(key.released) == Counter(f"s|{n}" for n in range(len(messages)) if ack_ids)
    contents = {Upload.from_bytes(one[1]).digest for one in (UPLOAD, EDIT) if one in messages}
    assert bool(key.verdicts) == bool(contents)
    # The reviews name no verdict that there is.
    strays = {
        data
        for stream, data in messages
        if stream == "reviews"
        or (
            stream == "predictions"
            and (named := Prediction.from_bytes(data).digest) is not None
            and named not in contents
        )
    }
    assert {letter.data for letter in key.dead} == (
        strays if contents else {data for _, data in messages}
    )


@pytest.mark.parametrize("stream", ["predictions", "reviews"])
def test_what_would_fill_a_case_is_a_dead_letter(stream: str) -> None:
    large = "x" * MAX_JOINED_BYTES
    data = (
        prediction("gamma", labels={large: 0.5})
        if stream == "predictions"
        else Review(
            upload_id="u", verdict_id="v", action="allow", reviewer="ada", note=large, at=START
        ).to_bytes()
    )
    keyed = KeyByUpload()
    keyed.setup()
    (output,) = keyed.process(Received(data, {"a": "b"}, "s|1", stream))
    assert isinstance(output, TaggedOutput)
    (letter,) = output.value.messages
    assert letter.data == data
    assert "the limit is" in letter.error
    assert output.value.ack_ids == ("s|1",)


@pytest.mark.parametrize(
    ("stream", "data"),
    [
        ("uploads", upload("u", published_at="2099-01-01T00:00:00Z")),
        ("predictions", prediction("violence", 0.0).replace(b"2026-03-01", b"2099-03-01")),
        ("reviews", review("allow").replace(b"2026-03-01", b"2099-03-01")),
    ],
)
def test_what_is_dated_in_the_future_is_a_dead_letter(stream: str, data: bytes) -> None:
    keyed = KeyByUpload()
    keyed.setup()
    (output,) = keyed.process(Received(data, {"a": "b"}, "s|1", stream))
    assert isinstance(output, TaggedOutput)
    (letter,) = output.value.messages
    assert (letter.data, letter.stage) == (data, f"decide.{stream}")
    assert "in the future" in letter.error
    assert output.value.ack_ids == ("s|1",)


def test_a_duplicate_is_acknowledged_only_after_the_verdict_before_it_is_published() -> None:
    job = "job-unpublished"
    dofn = InMemoryCaseDoFn(job, POLICY)
    dofn.setup()
    released: list[str] = []

    class Broker:
        def release(self, ids: Iterable[str]) -> None:
            released.extend(ids)

    register("unpublished", Broker())

    def given(number: int) -> list[Any]:
        joined = Joined((Received(UPLOAD[1], {}, f"unpublished|{number}", "uploads"),))
        return dofn.process(("u", joined))

    assert given(0) == []
    predictions = tuple(
        CompactPrediction.of(Prediction.from_bytes(prediction(name))) for name in ("alpha", "beta")
    )
    upload_again = Received(UPLOAD[1], {}, "unpublished|1", "uploads")
    (verdict,) = dofn.process(("u", Joined((upload_again,), predictions)))
    assert len(verdict.messages) == 1
    assert verdict.ack_ids == ("unpublished|0", "unpublished|1", f"{job}|u")
    assert given(2) == []
    acknowledge(verdict.ack_ids[:-1])
    assert released == ["0", "1"]
    acknowledge(verdict.ack_ids[-1:])
    assert released == ["0", "1", "2"]
    (late,) = given(3)
    assert (late.messages, late.ack_ids) == ((), ("unpublished|3",))


def test_a_verdict_that_cannot_be_published_is_decided_again_and_leaves_nothing() -> None:
    job = "job-refused"
    dofn = InMemoryCaseDoFn(job, POLICY)
    dofn.setup()
    abandoned: list[str] = []

    class Broker:
        def release(self, ids: Iterable[str]) -> None:
            raise AssertionError

        def abandon(self, ids: Iterable[str]) -> None:
            abandoned.extend(ids)

    register("refused", Broker())
    predictions = tuple(
        CompactPrediction.of(Prediction.from_bytes(prediction(name))) for name in ("alpha", "beta")
    )

    def given(number: int) -> list[Any]:
        received = Received(UPLOAD[1], {}, f"refused|{number}", "uploads")
        return dofn.process(("u", Joined((received,), predictions)))

    (verdict,) = given(0)
    assert given(1) == []
    abandon(verdict.ack_ids)
    assert abandoned == ["0", "1"]
    table = case_table(job)
    assert not table._unpublished
    assert table.get("u") is None
    (again,) = given(2)
    assert [one.id for one in again.messages] == [one.id for one in verdict.messages]


def test_predictions_of_this_job_join_their_upload_without_being_parsed_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def parsed(*_: Any) -> None:
        raise AssertionError

    made = tuple(
        CompactPrediction.of(Prediction.from_bytes(prediction(name))) for name in ("alpha", "beta")
    )
    known = Upload.from_bytes(UPLOAD[1])
    dofn = InMemoryCaseDoFn("job-objects", POLICY)
    dofn.setup()
    for name in ("from_bytes", "model_validate_json"):
        monkeypatch.setattr(Message, name, classmethod(parsed))
    joined = Joined((Received(UPLOAD[1], stream="uploads"),), made, known)
    (outgoing,) = dofn.process(("u", joined))
    assert [verdict.action for verdict in outgoing.messages] == ["allow"]
