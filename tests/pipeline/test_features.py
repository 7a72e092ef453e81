"""Features over time in the stream: as in batch, in one process and in an engine's state."""

import json
import pickle
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import count
from typing import Any

import apache_beam as beam
import pytest
from apache_beam.pvalue import TaggedOutput
from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client import REGISTRY

from quorum.aggregator.decider import Decider
from quorum.aggregator.decision.compact import CompactPrediction
from quorum.aggregator.features import names
from quorum.aggregator.features.table import FeatureTable
from quorum.aggregator.features.waves import Sign
from quorum.aggregator.policy.policy import Policy
from quorum.core.errors import ConfigurationError
from quorum.core.messages import Upload, Verdict, now
from quorum.pipeline.cases import dofn, features, in_state
from quorum.pipeline.cases.features import (
    AskKeys,
    AwaitKeys,
    CountKey,
    NameWaves,
)
from quorum.pipeline.cases.in_memory import InMemoryCaseDoFn
from quorum.pipeline.cases.in_state import StreamCaseDoFn
from quorum.pipeline.cases.options import CaseOptions
from quorum.pipeline.decide import KEYED, Decide, fitted
from quorum.pipeline.policies.live import LivePolicy
from quorum.pipeline.streams.base import Joined, JoinedCoder, Outgoing, Received
from quorum.store.ledger import Ledger
from tests.aggregator.aggregator_cases import START, said
from tests.aggregator.features.test_features import KEY, POLICY, an_upload, made, streams
from tests.aggregator.features.test_waves import POLICY as WAVES
from tests.aggregator.features.test_waves import an_upload as a_member
from tests.aggregator.features.test_waves import made_of
from tests.aggregator.features.test_waves import streams as wave_streams
from tests.pipeline.test_decide import Timer

_JOBS = count()


def some_uploads():
    begin = now() - timedelta(minutes=10)
    made = [an_upload(n, 0, f"c{n % 3}", title="Buy our pills", ip="10.0.0.1") for n in range(12)]
    return [
        one.model_copy(update={"published_at": begin + timedelta(seconds=5 * number)})
        for number, one in enumerate(made)
    ]


def stream(dofns, uploads):
    """The verdicts of uploads that several copies of one step decide in turn."""
    found = {}
    for number, upload in enumerate(uploads):
        received = Received(upload.to_bytes(), {}, f"s|{number}", "uploads")
        spoken = (CompactPrediction.of(said("spam", 0.6, upload_id=upload.id)),)
        for one in dofns[number % len(dofns)].process(
            (upload.id, Joined((received,), spoken, upload))
        ):
            if isinstance(one, Outgoing):
                found |= {verdict.upload_id: verdict for verdict in one.messages}
    return found


def started(options=None):
    first = InMemoryCaseDoFn(f"features-{next(_JOBS)}", POLICY, options)
    dofns = [first, pickle.loads(pickle.dumps(first))]
    for one in dofns:
        one.setup()
    return dofns


def test_the_stream_decides_as_batch_does():
    uploads = some_uploads()
    streamed = stream(started(), uploads)
    decider = Decider(POLICY)
    for upload in uploads:
        spoken = [said("spam", 0.6, upload_id=upload.id)]
        batch = decider.first(upload, spoken, arrived=now(), at=now()).verdict
        verdict = streamed[upload.id]
        assert verdict.features == batch.features
        assert (verdict.action, verdict.rule, verdict.id) == (batch.action, batch.rule, batch.id)
    assert streamed["u11"].features[KEY["accounts_of_text"]] == 3.0


def test_a_restart_begins_with_what_the_ledger_has(tmp_path):
    url = f"sqlite:///{tmp_path / 'ledger.db'}"
    uploads = some_uploads()
    with Ledger(url, create=True) as ledger:
        ledger.record(uploads[:11])
    streamed = stream(started(CaseOptions(ledger=url)), uploads[11:])
    whole = stream(started(), uploads)
    assert streamed["u11"].features == whole["u11"].features


class Bag(list[bytes]):
    """A bag of state of one key."""

    def read(self) -> list[bytes]:
        return list(self)

    def add(self, value: bytes) -> None:
        self.append(value)

    @property
    def only(self) -> bytes:
        return self[0] if self else b""


@dataclass
class Engine:
    """The steps before the case and the case, with state by key, as an engine would run them."""

    policy: Policy = POLICY
    clock: float = 0.0
    bags: dict[tuple[str, str], Bag] = field(default_factory=lambda: defaultdict(Bag))
    timers: dict[tuple[str, str], Timer] = field(default_factory=lambda: defaultdict(Timer))
    verdicts: dict[str, list[Verdict]] = field(default_factory=lambda: defaultdict(list))

    def __post_init__(self) -> None:
        self.steps = {
            "ask": AskKeys(self.policy, None),
            "count": CountKey(),
            "await": AwaitKeys(self.policy, None),
            "names": NameWaves(),
            "case": StreamCaseDoFn(self.policy),
        }
        for step in self.steps.values():
            step.setup()
            step.start_bundle()

    def state(self, step: str, key: str) -> tuple[Bag, Timer]:
        return self.bags[step, key], self.timers[step, key]

    def run(self, step: str, element: tuple[str, Any]) -> list[Any]:
        return list(self.steps[step].process(element, *self.state(step, element[0])))

    def give(self, upload: Upload, *, replies: bool = True) -> list[tuple[str, bytes]]:
        """Give an upload; without its replies, these are returned."""
        received = Received(upload.to_bytes(), {}, "", "uploads", self.now().timestamp())
        spoken = (CompactPrediction.of(said("spam", 0.6, upload_id=upload.id)),)
        made = self.run("ask", (upload.id, Joined((received,), spoken)))
        asks = [one.value for one in made if isinstance(one, TaggedOutput)]
        self.arrive(*[one for one in made if not isinstance(one, TaggedOutput)])
        found = [reply for one in asks for reply in self.run("count", one)]
        if replies:
            self.arrive(*found)
        return found

    def arrive(self, *elements: tuple[str, bytes]) -> None:
        for element in elements:
            self.decide(self.run("await", element))

    def decide(self, released: Iterable[Any]) -> None:
        for one in released:
            ((upload_id, joined),) = self.named(one)
            crossed = JoinedCoder().decode(JoinedCoder().encode(joined))
            for one in self.run("case", (upload_id, crossed)):
                for verdict in one.messages:
                    self.verdicts[verdict.upload_id].append(verdict)

    def named(self, one: Any) -> list[tuple[str, Joined]]:
        if not isinstance(one, TaggedOutput):
            return [one]
        return list(self.steps["names"].process(one.value, self.bags["names", one.value[0]]))

    def now(self) -> datetime:
        return START + timedelta(seconds=self.clock)

    def wait(self, seconds: float) -> None:
        """Let time pass; timers fire at its end."""
        self.clock += seconds
        for (step, key), timer in list(self.timers.items()):
            if timer.at is None or timer.at > self.now().timestamp():
                continue
            timer.at = None
            bag = self.bags[step, key]
            if step == "ask":
                self.steps[step].on_end(bag)
            elif step == "count":
                self.steps[step].on_end(bag, timer)
            elif step == "await":
                self.decide(self.steps[step].on_end(key, bag))
            else:
                list(self.steps[step].on_due(bag, timer))


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> Engine:
    made = Engine()
    for module in (dofn, features, in_state):
        monkeypatch.setattr(module, "now", lambda: made.now())
    return made


@settings(max_examples=25, deadline=None)
@given(streams)
def test_an_engine_gives_the_values_of_a_backtest(stream):
    """Each key in a state of its own, each reply and each case through bytes."""
    uploads, _ = made(stream)
    engine, table = Engine(), FeatureTable([POLICY])
    for upload in uploads:
        engine.give(upload)
        engine.give(upload)
    for upload in uploads:
        (verdict,) = engine.verdicts[upload.id]
        assert (verdict.features or {}) == table.take(upload)


def test_another_policy_goes_on_with_what_both_count(engine):
    """And back: what one of them lacked begins empty, as in a table."""
    fewer = Policy.from_text(
        "".join(
            one for one in POLICY.text.splitlines(True) if "30d" not in one and "last:" not in one
        )
    )
    engine.policy = fewer
    engine.__post_init__()
    table = FeatureTable([fewer])
    number = iter(range(60))
    for policy in (fewer, POLICY, fewer, POLICY):
        table.follow([policy])
        for step in ("ask", "await"):
            engine.steps[step]._definitions.follow([policy])
        for n in [next(number) for _ in range(15)]:
            upload = an_upload(n, 40 * n, f"c{n % 2}", ip="10.0.0.1", views=n)
            engine.give(upload)
            assert engine.verdicts[upload.id][0].features == table.take(upload)


def test_many_events_of_a_key_are_kept_in_steps_in_an_engine_too(engine):
    table = FeatureTable([POLICY])
    for number in range(400):
        upload = an_upload(number, 7 * number, f"c{number % 301}", ip="10.0.0.1")
        engine.give(upload)
        assert engine.verdicts[upload.id][0].features == table.take(upload)
    kept = max(len(one.only) for (step, _), one in engine.bags.items() if step == "count")
    assert kept < 40_000


def test_a_case_waits_for_its_keys_and_not_beyond_its_time(engine):
    upload = an_upload(1, 0, title="Buy our pills", ip="10.0.0.1")
    replies = engine.give(upload, replies=False)
    assert len(replies) == 8, "an uploader, an address, and six bands of the text"
    engine.arrive(*replies[:-1])
    assert not engine.verdicts
    engine.arrive(*replies[-1:])
    (verdict,) = engine.verdicts["u1"]
    assert verdict.features[KEY["uploads_1h"]] == 1.0
    late = an_upload(2, 5, title="Buy our pills", ip="10.0.0.1")
    replies = engine.give(late, replies=False)
    engine.arrive(*(one for one in replies if b" ip " not in one[1] and b'"ip ' not in one[1]))
    before = REGISTRY.get_sample_value("quorum_unknown_features_total") or 0
    engine.wait(0.76 * POLICY.deadline)
    assert REGISTRY.get_sample_value("quorum_unknown_features_total") == before + 1
    (verdict,) = engine.verdicts["u2"]
    assert verdict.features[KEY["uploads_1h"]] == 2.0
    assert KEY["uploads_1d"] not in verdict.features, "its key did not reply: it is unknown"
    assert verdict.latency < POLICY.deadline
    engine.arrive(*replies)
    assert len(engine.verdicts["u2"]) == 1


def test_what_comes_behind_an_upload_waits_with_it(engine):
    upload = an_upload(1, 0, ip="10.0.0.1")
    replies = engine.give(upload, replies=False)
    later = CompactPrediction.of(said("spam", 0.9, upload_id="u1", at=5))
    engine.arrive(*engine.run("ask", ("u1", Joined((), (later,)))))
    engine.arrive(*replies)
    (verdict,) = engine.verdicts["u1"]
    assert verdict.predictions[0].score == 0.6
    assert not engine.bags["await", "u1"].read()


def test_what_an_engine_keeps_ends(engine):
    engine.give(an_upload(1, 0, ip="10.0.0.1"))
    engine.wait(20 * 86_400)
    engine.give(an_upload(2, 20 * 86_400.0, ip="10.0.0.1"))
    engine.wait(20 * 86_400)
    kept = {key for (step, key), bag in engine.bags.items() if step == "count" and bag.read()}
    assert kept, "the second upload is within thirty days"
    for _ in range(2):
        engine.wait(31 * 86_400)
    assert not [one for one, bag in engine.bags.items() if bag.read()]


@settings(max_examples=25, deadline=None)
@given(wave_streams, st.randoms())
def test_an_engine_finds_the_waves_of_a_backtest(stream, random):
    """By name and with those that came before, whoever comes twice."""
    uploads = made_of(stream)
    engine, table = Engine(WAVES), FeatureTable([WAVES])
    for place, upload in enumerate(uploads):
        engine.give(upload)
        counted = table.count(upload)
        (verdict,) = engine.verdicts[upload.id]
        assert (verdict.features or {}) == counted.values
        assert (verdict.campaigns or ()) == counted.campaigns
        if random.random() < 0.3:
            engine.give(uploads[random.randrange(place + 1)])


def test_variants_of_a_text_are_one_campaign_in_an_engine_too(engine):
    """They share some keys, between which the name travels."""
    words = [f"word{n}" for n in range(40)]
    found = compared(engine, WAVES, (variant(words, n) for n in range(40)))
    assert any(found)


def variant(words: list[str], n: int) -> Upload:
    changed = list(words)
    changed[7 * n % len(words)] = f"other{n}"
    return a_member(n, 4 * n, f"bot{n}", title=" ".join(changed))


def test_a_member_of_one_campaign_is_no_earlier_one_of_another(engine):
    links = ["a"] * 4 + ["a b"] + ["b"] * 4
    policy = Policy.from_text(WAVES.text.replace("by: text", "by: domain"))
    titles = [" ".join(f"https://{one}.example/" for one in each.split()) for each in links]
    uploads = [a_member(n, 9 * n, f"bot{n}", title=each) for n, each in enumerate(titles)]
    *_, last, _ = compared(engine, policy, uploads)
    assert last[0].earlier == ("u005", "u006"), "and not u004, which has both links"


def compared(engine: Engine, policy: Policy, uploads: Iterable[Upload]) -> list[Any]:
    """The campaigns of uploads, as an engine and as a table find them."""
    engine.policy = policy
    engine.__post_init__()
    table, found = FeatureTable([policy]), []
    for upload in uploads:
        engine.give(upload)
        found.append(engine.verdicts[upload.id][0].campaigns or ())
        assert found[-1] == table.count(upload).campaigns
    return found


def test_what_follows_a_member_does_not_overtake_it(engine):
    engine.policy = WAVES
    engine.__post_init__()
    late = Joined((), (CompactPrediction.of(said("spam", 0.9, upload_id="u1", at=5)),))
    (asked,) = engine.run("ask", ("u1", late))
    (made,) = engine.run("await", asked)
    assert engine.named(made) == [("u1", late)]


def test_names_are_bounded_and_end(monkeypatch):
    monkeypatch.setattr(names, "_MOST_KEYS", 7)
    kept, wave = names.Names(), WAVES.features["text_wave"]
    for n in range(100):
        sign = Sign(n, 5, 5, ())
        seen = names.Sighting(wave, f"u{n}", n, n - 3, True, True, (sign,))
        kept.take(names.Sighting.of_row(json.loads(json.dumps(seen.row()))))
        kept = names.Names(kept.to_bytes())
    many = len(kept.to_bytes())
    kept.take(seen._replace(second=10_000, edge=9_997))
    assert len(kept.to_bytes()) < many / 7


def a_graph(policy):
    pipeline = beam.Pipeline()
    return pipeline, pipeline | beam.Create([]).with_output_types(KEYED)


def test_a_job_that_began_without_features_refuses_a_policy_with_some():
    for policy in (POLICY, WAVES):
        _, keyed = a_graph(policy)
        keyed | Decide(policy, bounded=False)
        plain = Policy.from_text("name: plain\ndetectors: {spam: {}}\n")
        options = CaseOptions(live=LivePolicy(plain, "ledger"))
        with pytest.raises(ConfigurationError, match="start the job again with this policy"):
            fitted(plain, options).live.fits(policy)
        fitted(policy, options).live.fits(policy)
