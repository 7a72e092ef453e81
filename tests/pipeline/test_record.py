from __future__ import annotations

import itertools
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

import pytest
from google.pubsub_v1.types import PubsubMessage, Subscription
from typer.testing import CliRunner

from quorum.apps.cli.record import app
from quorum.core.errors import ConfigurationError
from quorum.core.messages import Action, Message
from quorum.pipeline.record import FeedMessage, StreamRecorder, SubscriptionFeed
from quorum.pipeline.streams.pubsub_clients import publisher_client, subscriber_client
from quorum.store.ledger import Ledger, LedgerRefused, LedgerUnavailable
from tests.store.ledger.messages_for_ledger import prediction, review, upload, verdict

_names = itertools.count()


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    with Ledger(f"sqlite:///{tmp_path}/l.db", create=True) as made:
        yield made


class ListFeed:
    """A stream whose messages a test knows, and the ack ids that it received."""

    def __init__(self, messages: Sequence[bytes]) -> None:
        self.waiting = [FeedMessage(data, {"a": "b"}, str(n)) for n, data in enumerate(messages)]
        self.acked: list[str] = []
        self.closed = False

    def pull(self, limit: int, wait: float) -> Sequence[FeedMessage] | None:
        pulled, self.waiting = self.waiting[:limit], self.waiting[limit:]
        return pulled or None

    def ack(self, ack_ids: Sequence[str]) -> None:
        self.acked += ack_ids

    def close(self) -> None:
        self.closed = True


def messages() -> dict[str, list[Message]]:
    return {
        "uploads": [upload(n) for n in range(900)],
        "predictions": [prediction(n) for n in range(900)],
        "verdicts": [verdict(n, action=Action.REMOVE) for n in range(900)],
        "reviews": [review(1, verdict(1))],
    }


def test_all_streams_are_recorded_and_acked(ledger: Ledger) -> None:
    feeds = {name: ListFeed([m.to_bytes() for m in all_]) for name, all_ in messages().items()}
    feeds["verdicts"].waiting.append(FeedMessage(b"not json", {"ce-id": "7"}, "bad"))
    recorder = StreamRecorder(ledger, feeds)
    recorder.run()
    stats = ledger.stats()
    assert (stats["uploads"], stats["predictions"], stats["verdicts"]) == (900, 900, 900)
    (letter,) = ledger.dead_letters()
    assert (letter.data, letter.stage) == (b"not json", "record.verdicts")
    assert letter.original == {"ce-id": "7"}
    assert len(feeds["verdicts"].acked) == 901
    assert all(feed.closed for feed in feeds.values())
    assert recorder.recorded["verdicts"] == 901


@pytest.mark.parametrize("stream", ["uploads", "predictions", "verdicts", "reviews"])
def test_what_is_dated_in_the_future_is_recorded_as_a_dead_letter(
    ledger: Ledger, stream: str
) -> None:
    message = messages()[stream][0]
    field = "published_at" if stream == "uploads" else "at"
    later = message.model_copy(update={field: datetime(2099, 1, 1, tzinfo=UTC)})
    recorder = StreamRecorder(ledger, {stream: ListFeed([later.to_bytes()])})
    recorder.run()
    (letter,) = ledger.dead_letters()
    assert (letter.data, letter.stage) == (later.to_bytes(), f"record.{stream}")
    assert "in the future" in letter.error
    assert ledger.stats()[stream] == 0


def test_nothing_is_acked_before_the_ledger_has_it(ledger: Ledger) -> None:
    real, away = ledger.record, threading.Event()
    away.set()

    def record(made: Sequence[Message]) -> None:
        if away.is_set():
            msg = "away"
            raise LedgerUnavailable(msg)
        real(made)

    ledger.record = record  # type: ignore[method-assign, assignment]
    feed = ListFeed([upload(n).to_bytes() for n in range(10)])
    recorder = StreamRecorder(ledger, {"uploads": feed})
    thread = threading.Thread(target=recorder.run)
    thread.start()
    time.sleep(0.3)
    assert feed.acked == []
    away.clear()
    thread.join(20)
    assert len(feed.acked) == 10
    assert ledger.stats()["uploads"] == 10


def test_stop_while_the_ledger_is_away_acks_nothing(ledger: Ledger) -> None:
    def record(made: Sequence[Message]) -> None:
        msg = "away"
        raise LedgerUnavailable(msg)

    ledger.record = record  # type: ignore[method-assign, assignment]
    feed = ListFeed([upload(1).to_bytes()])
    recorder = StreamRecorder(ledger, {"uploads": feed})
    thread = threading.Thread(target=recorder.run)
    thread.start()
    time.sleep(0.2)
    recorder.stop()
    thread.join(20)
    assert not thread.is_alive()
    assert feed.acked == []
    assert feed.closed


class Hung(ListFeed):
    """A stream that goes on, and holds what it pulled."""

    def pull(self, limit: int, wait: float) -> Sequence[FeedMessage] | None:
        time.sleep(0.01)
        return super().pull(limit, wait) or []


def test_a_ledger_that_hangs_is_told_and_holds_up_no_drain(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("quorum.store.writer.LAG_SECONDS", 0.3)
    go_on = threading.Event()
    monkeypatch.setattr(ledger, "record", lambda _messages: go_on.wait(60))
    feed = Hung([upload(1).to_bytes()])
    recorder = StreamRecorder(ledger, {"uploads": feed})
    assert recorder.lag() is None
    running = threading.Thread(target=recorder.run, args=(0.5,), daemon=True)
    running.start()
    end = time.monotonic() + 10
    while (told := recorder.lag()) is None:
        assert time.monotonic() < end
        time.sleep(0.05)
    assert told.startswith("the oldest message has waited for the ledger for")
    began = time.monotonic()
    recorder.stop()
    running.join(20)
    assert time.monotonic() - began < 5
    assert feed.closed
    assert feed.acked == []
    go_on.set()


def test_a_value_that_the_database_refuses_takes_no_other_with_it(ledger: Ledger) -> None:
    real = ledger.record

    def record(made: Sequence[Message]) -> None:
        if any(getattr(one, "id", "") == "up-3" for one in made):
            msg = "the database refuses a value: DataError"
            raise LedgerRefused(msg)
        real(made)

    ledger.record = record  # type: ignore[method-assign, assignment]
    feed = ListFeed([upload(n).to_bytes() for n in range(6)])
    StreamRecorder(ledger, {"uploads": feed}).run()
    assert ledger.stats()["uploads"] == 5
    (letter,) = ledger.dead_letters()
    assert letter.data == upload(3).to_bytes()
    assert len(feed.acked) == 6


def test_numbers_that_no_column_holds_are_recorded(ledger: Ledger) -> None:
    ledger.record([verdict(1, revision=10**30)])
    case = ledger.get_case("up-1")
    assert case is not None and case.verdict is not None
    assert case.verdict.revision == 10**30


def test_files_through_the_command(
    ledger: Ledger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("quorum.apps.cli.record.configure_logs", lambda *_: None)
    args = ["--database", f"sqlite:///{tmp_path}/l.db"]
    for name, all_ in messages().items():
        file = tmp_path / f"{name}.jsonl"
        file.write_bytes(b"".join(one.to_bytes() + b"\n" for one in all_))
        args += [f"--{name}", str(file)]
    for _ in range(2):
        done = CliRunner().invoke(app, args, catch_exceptions=False)
        assert done.exit_code == 0
        assert ledger.stats()["verdicts"] == 900
    with pytest.raises(ConfigurationError, match="at least one stream"):
        CliRunner().invoke(app, [], catch_exceptions=False)
    with pytest.raises(ConfigurationError, match="is a topic"):
        topic = "projects/p/topics/t"
        CliRunner().invoke(app, [*args[:2], "--uploads", topic], catch_exceptions=False)


class Broker:
    """A topic with a subscription for the recorder, on the real emulator."""

    def __init__(self) -> None:
        name = f"record{next(_names)}"
        self.topic = f"projects/quorum-test/topics/{name}"
        self.path = f"projects/quorum-test/subscriptions/{name}"
        self._publisher = publisher_client()
        self._publisher.create_topic(name=self.topic)
        wanted = Subscription(name=self.path, topic=self.topic, ack_deadline_seconds=10)
        subscriber_client().create_subscription(wanted)

    def publish(self, all_: Sequence[Message]) -> None:
        for start in range(0, len(all_), 500):
            self._publisher.publish(
                topic=self.topic,
                messages=[PubsubMessage(data=m.to_bytes()) for m in all_[start : start + 500]],
            )


@pytest.mark.emulator
def test_subscriptions_that_are_absent_are_all_named_beforehand(
    emulator: str, ledger: Ledger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("quorum.apps.cli.record.configure_logs", lambda *_: None)
    broker = Broker()
    absent = [f"projects/quorum-test/subscriptions/never-{name}" for name in ("v", "r")]
    args = ["--database", f"sqlite:///{tmp_path}/l.db", "--uploads", broker.path]
    args += ["--verdicts", absent[0], "--reviews", absent[1]]
    with pytest.raises(ConfigurationError) as told:
        CliRunner().invoke(app, args, catch_exceptions=False)
    assert all(each in str(told.value) for each in absent)
    assert broker.path not in str(told.value)
    assert "quorum topics create --project quorum-test --record" in str(told.value)


@pytest.mark.emulator
def test_a_real_subscription(emulator: str, ledger: Ledger) -> None:
    broker = Broker()
    broker.publish([upload(n) for n in range(300)])
    recorder = StreamRecorder(ledger, {"uploads": SubscriptionFeed(broker.path)})
    thread = threading.Thread(target=recorder.run)
    thread.start()
    end = time.monotonic() + 30
    while ledger.stats()["uploads"] < 300:
        assert time.monotonic() < end
        time.sleep(0.1)
    recorder.stop()
    thread.join(40)
    assert not thread.is_alive()


@pytest.mark.emulator
@pytest.mark.slow
def test_a_recorder_that_is_killed_loses_nothing(
    emulator: str, ledger: Ledger, tmp_path: Path
) -> None:
    broker = Broker()
    broker.publish([verdict(n) for n in range(3000)])
    command = [
        *(
            sys.executable,
            "-c",
            "import sys; from quorum.apps.cli.record import app; app(sys.argv[1:])",
        ),
        *("--verdicts", broker.path, "--database", f"sqlite:///{tmp_path}/l.db"),
    ]
    end = time.monotonic() + 90
    kills = 0
    while ledger.stats()["verdicts"] < 3000:
        assert time.monotonic() < end
        process = subprocess.Popen(command, env=os.environ.copy(), stderr=subprocess.DEVNULL)
        try:
            wanted = min(3000, ledger.stats()["verdicts"] + 700)
            while ledger.stats()["verdicts"] < wanted and time.monotonic() < end:
                time.sleep(0.02)
            process.send_signal(signal.SIGKILL if kills < 2 else signal.SIGTERM)
            code = process.wait(60)
            assert code == (-9 if kills < 2 else 0)
            kills += 1
        finally:
            process.kill()
            process.wait()
    assert kills >= 2
    assert len({row.upload_id for row in ledger.find(limit=5000)}) == 3000
