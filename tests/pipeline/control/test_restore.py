"""Open cases whose state is lost come back: from the emulator's subscription, and the ledger."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from google.pubsub_v1.types import PubsubMessage
from typer.testing import CliRunner

from quorum.aggregator.decider import Decider
from quorum.apps.cli.jobs import app
from quorum.core.errors import ConfigurationError
from quorum.core.messages import Upload, now
from quorum.pipeline.control.restore import Replay, look, plan_restore
from quorum.pipeline.streams.pubsub_clients import publisher_client, subscriber_client
from quorum.pipeline.streams.topics import create_topics, planned
from quorum.store.ledger import Ledger, LedgerCase
from tests.pipeline.doubles import policy

AT = datetime(2026, 11, 26, 12, tzinfo=UTC)
SUBSCRIPTION = "projects/p/subscriptions/s"


def upload(name: str, age: timedelta) -> Upload:
    return Upload(id=name, uploader="u", title=name, description="", published_at=AT - age)


def case(name: str, minutes: float) -> LedgerCase:
    return LedgerCase(name, upload(name, timedelta(minutes=minutes)))


def replay(days: float | None, name: str = SUBSCRIPTION) -> Replay:
    return Replay(name, "projects/p/topics/t", None if days is None else AT - timedelta(days=days))


def test_subscriptions_go_back_to_the_oldest_open_upload_with_a_margin() -> None:
    plan = plan_restore([case("a", 5), case("b", 9)], [replay(7), replay(None), replay(1)])
    assert plan.since == AT - timedelta(minutes=11)
    assert plan.seeks == (replay(7), replay(1))
    assert plan.publish == ()


@pytest.mark.parametrize(
    ("address", "told"),
    [
        ("kafka://a:9092/t", r"is a Kafka topic, .*kafka-consumer-groups"),
        ("projects/p/topics/t", "is a topic, and no subscription"),
        ("nonsense", "is not a stream"),
    ],
)
def test_what_cannot_be_set_back_is_refused_with_the_mend(address: str, told: str) -> None:
    with pytest.raises(ConfigurationError, match=told):
        look(address, AT)


def test_what_no_subscription_retains_is_published_again() -> None:
    plan = plan_restore([case("a", 5), case("old", 3 * 24 * 60)], [replay(1)])
    assert [one.id for one in plan.publish] == ["old"]
    assert plan.since == AT - timedelta(minutes=7)
    plan = plan_restore([case("a", 5)], [replay(None)])
    assert ([one.id for one in plan.publish], plan.seeks) == (["a"], ())


def test_a_time_that_is_not_retained_is_refused_with_the_mend() -> None:
    with pytest.raises(ConfigurationError, match="--retain-acked-messages"):
        plan_restore([], [replay(None)], AT - timedelta(hours=1))
    with pytest.raises(ConfigurationError, match="cannot be set back"):
        plan_restore([], [replay(1)], AT - timedelta(days=2))
    assert plan_restore([], [replay(1)], AT - timedelta(hours=1)).seeks == (replay(1),)
    assert plan_restore([], [replay(1)]).seeks == ()


class Deployed:
    """Streams on the emulator, and a ledger that knows one decided and one open upload."""

    def __init__(self, folder: Path, *, replayable: bool) -> None:
        name = f"restore{replayable}".lower()
        plan = planned("quorum-test", name, replayable=replayable)
        create_topics(plan)
        self.topic = f"projects/quorum-test/topics/{name}-uploads"
        self.subscription = f"projects/quorum-test/subscriptions/{name}-uploads-stream"
        self.database = f"sqlite:///{folder / 'ledger.db'}"
        self.uploads = [
            Upload(id=one, uploader="u", title=one, description="", published_at=now())
            for one in ("decided", "open")
        ]
        data = [PubsubMessage(data=one.to_bytes()) for one in self.uploads]
        publisher_client().publish(topic=self.topic, messages=data)
        assert self.pulled() == {"decided", "open"}
        first = Decider(policy()).first(self.uploads[0], (), arrived=now(), at=now())
        with Ledger(self.database, create=True) as ledger:
            ledger.record([*self.uploads, first.verdict])

    def pulled(self) -> set[str]:
        client = subscriber_client()
        found: set[str] = set()
        answer = client.pull(
            subscription=self.subscription, max_messages=10, return_immediately=True
        )
        for one in answer.received_messages:
            found.add(Upload.from_bytes(one.message.data).id)
            client.acknowledge(subscription=self.subscription, ack_ids=[one.ack_id])
        return found

    def restore(self, *more: str) -> str:
        args = ["restore", "--uploads", self.subscription, "--database", self.database, *more]
        return CliRunner().invoke(app, args, catch_exceptions=False).output


@pytest.mark.emulator
@pytest.mark.parametrize("replayable", [True, False])
def test_an_open_upload_is_delivered_again(emulator: str, tmp_path: Path, replayable: bool) -> None:
    made = Deployed(tmp_path, replayable=replayable)
    told = made.restore()
    assert "1 uploads have no verdict" in told
    assert "nothing was done" in told
    assert made.pulled() == set()
    told = made.restore("--yes")
    assert ("set back to" in told) is replayable
    assert ("published again" in told) is not replayable
    # A seek brings what was decided, too: it gets the same verdict again.
    assert made.pulled() == ({"decided", "open"} if replayable else {"open"})


@pytest.mark.emulator
def test_an_unknown_subscription_is_told(emulator: str) -> None:
    with pytest.raises(ConfigurationError, match="there is no subscription"):
        look("projects/quorum-test/subscriptions/nothing", now())
