from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from benchmarks.soak.broker import Broker
from benchmarks.soak.history import History, key_of
from benchmarks.soak.platform import Platform
from benchmarks.soak.workload import PARTNER, Operation, prediction
from quorum.core.messages import Review, Upload, now


class Remembering:
    """A broker that keeps what is published, and has nothing to pull."""

    def __init__(self) -> None:
        self.published: defaultdict[str, list[bytes]] = defaultdict(list)
        self.remade: Callable[[], None] = lambda: None
        self.tap = SimpleNamespace(acked=lambda _stream, _key: None)

    def publish(self, stream: str, messages: Sequence[bytes]) -> None:
        self.published[stream] += messages

    def pull(self, _name: str) -> list[Any]:
        time.sleep(0.01)
        return []


@pytest.fixture
def broker() -> Remembering:
    return Remembering()


@pytest.fixture
def platform(broker: Remembering, tmp_path: Path) -> Iterator[Platform]:
    history = History(tmp_path / "history.jsonl")
    made = Platform(cast(Broker, broker), history)
    yield made
    made.close()
    history.close()


def run(platform: Platform, *operations: Operation) -> None:
    platform.run(list(operations), time.monotonic() - 1.0, cast(Any, SimpleNamespace(wait=never)))


def never(_seconds: float) -> bool:
    return False


def test_what_a_remade_broker_lost_is_published_again(
    platform: Platform, broker: Remembering
) -> None:
    upload = Upload(id="u1", uploader="ann", title="a", published_at=now()).to_bytes()
    acked, lost = (prediction("u1", PARTNER, score, now()).to_bytes() for score in (0.1, 0.2))
    run(
        platform,
        Operation(0.0, "uploads", "text", "u1", upload),
        Operation(0.0, "partner", "partner", "u1", acked),
        Operation(0.0, "partner", "partner", "u1", lost),
    )
    broker.tap.acked("partner", key_of(acked))
    broker.published.clear()
    broker.remade()
    assert broker.published == {"uploads": [upload], "partner": [lost]}


def test_what_must_become_a_dead_letter_is_published_again_until_it_is_one(
    platform: Platform, broker: Remembering
) -> None:
    dead, lost = (
        Review(upload_id="u1", verdict_id=mark * 32, action="remove", reviewer="eve", at=now())
        for mark in "01"
    )
    for review in (dead, lost):
        run(platform, Operation(0.0, "reviews", "unknown:review", "u1", review.to_bytes()))
    platform._dead_letter(dead.to_bytes())
    broker.published.clear()
    broker.remade()
    assert broker.published == {"reviews": [lost.to_bytes()]}
