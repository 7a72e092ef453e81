"""Jobs that follow released policies: what cannot be used never decides."""

from __future__ import annotations

import itertools
import pickle
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from quorum.aggregator.policy.policy import Policy
from quorum.core.errors import ConfigurationError, EngineUnavailable
from quorum.core.identity import Admission, Publisher, SigningKey
from quorum.core.messages import PolicyRelease
from quorum.pipeline.policies.live import AWAY_SECONDS, LivePolicy, PolicyWatcher, watcher_of
from quorum.pipeline.policies.readers import (
    Candidate,
    FileReader,
    LedgerReader,
    SubscriptionReader,
    open_reader,
)
from quorum.store.ledger import Ledger, SignedRelease
from tests.pipeline.doubles import policy

START = policy()
STRICTER = policy(name="stricter")
OTHER = policy(name="other")
AT = datetime(2026, 3, 1, tzinfo=UTC)
KEY = SigningKey.new("policy-desk", "k1")
REVIEWER = SigningKey.new("reviewers", "k1")


def publisher(key: SigningKey, *streams: str) -> Publisher:
    return Publisher.model_validate({"keys": {key.id: {"public": key.public}}, "streams": streams})


PUBLISHERS = {
    "policy-desk": publisher(KEY, "policies"),
    "reviewers": publisher(REVIEWER, "reviews"),
}


def release(made: Policy, minutes: int = 0, text: str | None = None) -> PolicyRelease:
    return PolicyRelease(
        policy_version=made.version,
        text=made.text if text is None else text,
        by="ana",
        at=AT + timedelta(minutes=minutes),
    )


def signed(one: PolicyRelease, key: SigningKey | None = None) -> SignedRelease:
    data, attributes = one.to_bytes(), one.attributes("/test")
    return SignedRelease(one, data, attributes if key is None else key.sign(data, attributes))


class Given:
    """A reader that returns, or raises, what a test gives it."""

    def __init__(self, *given: Candidate | Exception | None) -> None:
        self.given = list(given)

    def read(self) -> Candidate | None:
        one = self.given.pop(0) if len(self.given) > 1 else self.given[0]
        if isinstance(one, Exception):
            raise one
        return one


def candidate(made: Policy, text: str | None = None, version: str | None = None) -> Candidate:
    text = made.text if text is None else text
    name = made.version if version is None else version
    return Candidate(f"{name} {hash(text)}", text, name, "released by ana")


class TestWatcher:
    def test_the_newest_policy_decides(self):
        watcher = PolicyWatcher(Given(None, candidate(STRICTER), candidate(OTHER)), START)
        versions = []
        for _ in range(3):
            watcher.step()
            versions.append(watcher.policy.version)
        assert versions == [START.version, STRICTER.version, OTHER.version]
        assert watcher.problem() is None

    @pytest.mark.parametrize(
        ("bad", "why"),
        [
            (candidate(OTHER, text="rules: 7"), "`name` is required"),
            (candidate(OTHER, text=OTHER.text.replace('score("alpha")', 'score("alfa")')), "alfa"),
            (candidate(OTHER, version="other@0000000000000000"), OTHER.version),
        ],
        ids=["no policy", "unknown detector", "another version"],
    )
    def test_what_cannot_be_used_keeps_the_last_good_one(self, bad: Candidate, why: str):
        watcher = PolicyWatcher(Given(candidate(STRICTER), bad, candidate(OTHER)), START)
        watcher.step()
        watcher.step()
        assert watcher.policy == STRICTER
        told = watcher.problem()
        assert told is not None
        assert why in told
        assert f"{STRICTER.version} decides" in told
        watcher.step()
        assert watcher.policy == OTHER
        assert watcher.problem() is None

    def test_a_policy_that_this_job_could_not_have_begun_with_is_not_used(self):
        def fits(made: Policy) -> None:
            if made.name == "stricter":
                msg = "detectors.alpha.timeout exceeds its deadline"
                raise ConfigurationError(msg)

        watcher = PolicyWatcher(Given(candidate(STRICTER)), START, fits)
        watcher.step()
        assert watcher.policy == START
        assert "timeout exceeds" in (watcher.problem() or "")

    def test_a_source_that_is_away_keeps_the_last_good_one_and_is_told(self):
        clock = itertools.count(0.0, 2 * AWAY_SECONDS)
        away = EngineUnavailable("the broker does not answer")
        watcher = PolicyWatcher(Given(candidate(STRICTER), away), START, clock=lambda: next(clock))
        for _ in range(4):
            watcher.step()
        assert watcher.policy == STRICTER
        told = watcher.problem()
        assert told is not None
        assert "the broker does not answer" in told

    def test_it_travels_to_another_process(self, tmp_path: Path):
        file = tmp_path / "policy.yaml"
        file.write_text(STRICTER.text)
        live = LivePolicy(START, str(file), PUBLISHERS)
        copy = pickle.loads(pickle.dumps(live))
        assert copy == live
        assert copy.current() == STRICTER
        watcher_of(live).close()


class TestFile:
    def test_it_is_read_again_when_it_changes(self, tmp_path: Path):
        file = tmp_path / "policy.yaml"
        file.write_text(START.text)
        watcher = PolicyWatcher(FileReader(file), START)
        watcher.step()
        assert watcher.policy == START
        replacement = tmp_path / "new"
        replacement.write_text(STRICTER.text)
        replacement.replace(file)
        watcher.step()
        assert watcher.policy == STRICTER
        file.unlink()
        watcher.step()
        assert watcher.policy == STRICTER


class TestLedger:
    def test_the_release_with_the_greatest_time_is_in_force(self, tmp_path: Path):
        url = f"sqlite:///{tmp_path}/ledger.db"
        with Ledger(url, create=True) as ledger:
            ledger.record([signed(release(OTHER, 2)), signed(release(STRICTER, 1))])
        found = LedgerReader(url, Admission()).read()
        assert found is not None
        assert found.version == OTHER.version

    @pytest.mark.parametrize("key", [None, REVIEWER], ids=["unsigned", "a reviewer's"])
    def test_a_release_of_someone_who_may_not_is_refused(
        self, tmp_path: Path, key: SigningKey | None
    ):
        url = f"sqlite:///{tmp_path}/ledger.db"
        watcher = PolicyWatcher(open_reader(url, PUBLISHERS), START)
        with Ledger(url, create=True) as ledger:
            ledger.record([signed(release(STRICTER), KEY)])
            watcher.step()
            assert watcher.policy == STRICTER
            ledger.record([signed(release(OTHER, 1), key)])
        watcher.step()
        assert watcher.policy == STRICTER


class Broker:
    """One subscription, as Pub/Sub keeps it: what is not acknowledged is delivered again."""

    def __init__(self) -> None:
        self.messages: dict[str, Any] = {}
        self.leased: set[str] = set()
        self.numbers = itertools.count()

    def publish(self, data: bytes, attributes: Any) -> None:
        number = next(self.numbers)
        self.messages[f"m{number}"] = SimpleNamespace(
            data=data,
            attributes=dict(attributes),
            message_id=f"m{number}",
            publish_time=AT + timedelta(seconds=number),
        )

    def pull(self, **_: Any) -> Any:
        free = [key for key in self.messages if key not in self.leased]
        self.leased |= set(free)
        received = [SimpleNamespace(ack_id=key, message=self.messages[key]) for key in free]
        return SimpleNamespace(received_messages=received)

    def acknowledge(self, *, ack_ids: list[str], **_: Any) -> None:
        for key in ack_ids:
            del self.messages[key]
            self.leased.discard(key)

    def modify_ack_deadline(self, *, ack_ids: list[str], **_: Any) -> None:
        self.leased -= set(ack_ids)


class TestSubscription:
    def test_the_newest_release_stays_for_whoever_reads_next(self):
        broker = Broker()
        for one in (release(OTHER, 2), release(STRICTER, 1), release(OTHER, 2)):
            broker.publish(one.to_bytes(), {})
        for _ in range(3):
            found = SubscriptionReader("s", Admission(), broker).read()
            assert found is not None
            assert found.version == OTHER.version
            assert list(broker.messages) == ["m2"]
        broker.publish(release(STRICTER, 3).to_bytes(), {})
        reader = SubscriptionReader("s", Admission(), broker)
        assert (reader.read() or candidate(START)).version == STRICTER.version
        assert list(broker.messages) == ["m3"]

    def test_two_processes_see_one_release(self):
        broker = Broker()
        readers = [SubscriptionReader("s", Admission(), broker) for _ in range(2)]
        broker.publish(release(STRICTER).to_bytes(), {})
        for reader in readers:
            found = reader.read()
            assert found is not None
            assert found.version == STRICTER.version

    @pytest.mark.parametrize("key", [None, REVIEWER], ids=["unsigned", "a reviewer's"])
    def test_what_is_forged_is_taken_away_and_changes_nothing(self, key: SigningKey | None):
        broker = Broker()
        good, forged = signed(release(STRICTER), KEY), signed(release(OTHER, 1), key)
        for one in (good, forged):
            broker.publish(one.data, one.attributes)
        broker.publish(b"nonsense", {})
        found = SubscriptionReader("s", Admission(PUBLISHERS), broker).read()
        assert found is not None
        assert found.version == STRICTER.version
        assert list(broker.messages) == ["m0"]


def test_an_address_that_cannot_be_followed_is_refused_with_those_that_can():
    with pytest.raises(ConfigurationError, match=r"ledger.*subscriptions.*yaml"):
        open_reader("projects/p/topics/t", {})
