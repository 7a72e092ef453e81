"""The contract of the seam of the streams, as a class that each transport's tests inherit.

It speaks of addresses alone: ``sink`` publishes, and a feed (``quorum record``'s, over what every
job reads through) reads. A transport says what it does not promise, and why.
"""

from __future__ import annotations

import json
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from typing import Any

import pytest

from quorum.core.errors import QuorumError
from quorum.core.messages import DeadLetter, Upload, now
from quorum.pipeline.record import Feed, FeedMessage
from quorum.pipeline.streams.base import Outgoing
from quorum.pipeline.streams.open import sink

SECONDS = 60.0


class Transport(ABC):
    """What a contract needs of a transport."""

    #: Whether what was acknowledged is not delivered again. A file is read from its beginning.
    acknowledges = True
    #: Whether the messages of one upload come in the order in which they were published.
    keeps_order = True
    #: Whether attributes are carried.
    has_attributes = True

    @abstractmethod
    def stream(self, name: str) -> tuple[str, str]:
        """Make a stream; the address to publish to and the one to read from."""

    @abstractmethod
    def feed(self, address: str) -> Feed:
        """Read a stream as a job does."""

    @abstractmethod
    def crash(self, feed: Feed) -> None:
        """Let a reader end as if it was killed: nothing that it still had to say is said."""

    @abstractmethod
    def away(self, address: str) -> AbstractContextManager[None]:
        """Let the broker be away."""


def upload(number: int, of: str = "u") -> Upload:
    return Upload(
        id=f"{of}{number % 7}", uploader="ada", title=f"title {number}", published_at=now()
    )


def publish(address: str, *elements: Outgoing) -> None:
    """As the graph does it: a bundle of elements."""
    dofn: Any = sink(address, origin="/contract").transform().fn  # type: ignore[attr-defined]
    dofn.setup()
    dofn.start_bundle()
    for one in elements:
        dofn.process(one)
    dofn.finish_bundle()


def titles(messages: Sequence[FeedMessage]) -> list[str]:
    return [json.loads(one.data)["title"] for one in messages]


def read(feed: Feed, count: int, seconds: float = SECONDS) -> list[FeedMessage]:
    """Read so many messages, or what comes until the feed or the time ends."""
    found: list[FeedMessage] = []
    end = time.monotonic() + seconds
    while len(found) < count and time.monotonic() < end:
        pulled = feed.pull(count - len(found), 0.2)
        if pulled is None:
            break
        found += pulled
    return found


def acknowledge(feed: Feed, messages: Sequence[FeedMessage]) -> None:
    feed.ack([one.ack_id for one in messages])


class StreamContract:
    """Inherit it, and give a fixture ``transport``."""

    @pytest.fixture
    def transport(self) -> Iterator[Transport]:
        raise NotImplementedError

    @pytest.fixture
    def feeds(self, transport: Transport) -> Iterator[Callable[[str], Feed]]:
        """Opens feeds, and closes them after the test."""
        opened: list[Feed] = []

        def opening(address: str) -> Feed:
            opened.append(transport.feed(address))
            return opened[-1]

        yield opening
        for one in opened:
            one.close()

    def test_all_arrive_with_their_attributes_and_in_order(
        self, transport: Transport, feeds: Callable[[str], Feed]
    ) -> None:
        to, at = transport.stream("order")
        sent = [upload(number) for number in range(60)]
        publish(to, *(Outgoing((one,)) for one in sent))
        received = read(feeds(at), len(sent))
        assert sorted(titles(received)) == sorted(one.title for one in sent)
        assert {one.has_attributes for one in received} == {transport.has_attributes}
        if transport.has_attributes:
            by_title = {one.title: one for one in sent}
            for one in received:
                attributes = by_title[json.loads(one.data)["title"]].attributes("/contract")
                assert attributes.items() <= dict(one.attributes).items()
        if transport.keeps_order:
            for key in {one.id for one in sent}:
                came = [json.loads(one.data) for one in received]
                assert [one["title"] for one in came if one["id"] == key] == [
                    one.title for one in sent if one.id == key
                ]

    def test_what_is_not_acknowledged_is_delivered_again_and_nothing_is_passed_over(
        self, transport: Transport, feeds: Callable[[str], Feed]
    ) -> None:
        to, at = transport.stream("redelivery")
        sent = [upload(number) for number in range(40)]
        publish(to, *(Outgoing((one,)) for one in sent))
        first = feeds(at)
        received = read(first, len(sent))
        assert len(received) == len(sent)
        # Acknowledged in another order than they came, with gaps.
        done = [one for index, one in enumerate(reversed(received)) if index % 3]
        acknowledge(first, done)
        transport.crash(first)
        left = {one.title for one in sent} - set(titles(done))
        expected = left if transport.acknowledges else {one.title for one in sent}
        second = feeds(at)
        again = read(second, len(expected))
        assert expected <= set(titles(again))
        if transport.acknowledges:
            acknowledge(second, again)
            second.close()
            assert read(feeds(at), 1, 2.0) == []

    def test_a_reader_that_closes_gives_back_what_it_did_not_finish(
        self, transport: Transport, feeds: Callable[[str], Feed]
    ) -> None:
        to, at = transport.stream("closing")
        sent = [upload(number) for number in range(20)]
        publish(to, *(Outgoing((one,)) for one in sent))
        first = feeds(at)
        acknowledge(first, done := read(first, 5))
        first.close()
        again = titles(read(feeds(at), len(sent) - (5 if transport.acknowledges else 0)))
        assert set(again) | set(titles(done)) == {one.title for one in sent}
        if transport.acknowledges:
            assert not set(again) & set(titles(done))

    def test_what_kills_its_worker_is_set_aside_and_takes_nobody_with_it(
        self, transport: Transport, feeds: Callable[[str], Feed]
    ) -> None:
        if not transport.acknowledges:
            pytest.skip("a file counts no deliveries: the run that it ends is told as failed")
        to, at = transport.stream("poison")
        sent = [upload(number, "p") for number in range(30)]
        poison = sent[11].title
        publish(to, *(Outgoing((one,)) for one in sent))
        finished: set[str] = set()
        refused = ""
        deaths = 0
        end = time.monotonic() + SECONDS
        while (len(finished) < len(sent) - 1 or not refused) and time.monotonic() < end:
            feed = feeds(at)
            while time.monotonic() < end and (len(finished) < len(sent) - 1 or not refused):
                (*pulled,) = feed.pull(4, 0.2) or ()
                if refusals := [one.refusal for one in pulled if one.refusal]:
                    assert titles([one for one in pulled if one.refusal]) == [poison]
                    (refused,) = refusals
                    acknowledge(feed, pulled)
                elif poison in titles(pulled):
                    deaths += 1
                    transport.crash(feed)
                    break
                else:
                    acknowledge(feed, pulled)
                    finished |= set(titles(pulled))
        assert finished == {one.title for one in sent} - {poison}
        assert refused.startswith("delivered 5 times")
        assert 2 <= deaths <= 5

    def test_a_dead_letter_keeps_the_message_whole(
        self, transport: Transport, feeds: Callable[[str], Feed]
    ) -> None:
        to, at = transport.stream("dead")
        data = bytes(range(256)) * 8_000
        letters = DeadLetter.of(data, {"ce-id": "1", "mine": "käpt"}, "stage", "why", now())
        publish(to, Outgoing(letters))
        (received,) = read(feeds(at), 1)
        letter = DeadLetter.from_bytes(received.data)
        assert (letter.data, letter.original) == (data, {"ce-id": "1", "mine": "käpt"})
        assert (letter.stage, letter.error) == ("stage", "why")

    def test_a_broker_that_is_away_is_waited_for_and_nothing_is_lost(
        self, transport: Transport, feeds: Callable[[str], Feed]
    ) -> None:
        to, at = transport.stream("away")
        publish(to, Outgoing((upload(0),)))
        feed = feeds(at)
        received = read(feed, 1)
        assert titles(received) == ["title 0"]
        published = threading.Event()
        failed: list[QuorumError] = []

        def publishing() -> None:
            try:
                publish(to, Outgoing((upload(1),)))
            except QuorumError as error:
                failed.append(error)
            published.set()

        with transport.away(to):
            thread = threading.Thread(target=publishing, daemon=True)
            thread.start()
            # Refused at once with the reason, or waited for: never taken for published.
            assert not published.wait(2.0) or failed
            acknowledge(feed, received)
        assert published.wait(SECONDS)
        if failed:
            publish(to, Outgoing((upload(1),)))
        thread.join()
        if feed.pull(0, 0.0) is None or not transport.acknowledges:
            feed = feeds(at)
        came: set[str] = set()
        end = time.monotonic() + SECONDS
        while "title 1" not in came and time.monotonic() < end:
            pulled = read(feed, 1, 0.5)
            acknowledge(feed, pulled)
            came |= set(titles(pulled))
        assert "title 1" in came
