"""What is normal on a stream is no problem, and what is not is one, with its reason."""

from __future__ import annotations

import threading
import time
from dataclasses import replace
from typing import Any

import pytest
from google.api_core.exceptions import ServiceUnavailable

from quorum.core.messages import Review, now
from quorum.pipeline.streams import publishing, pubsub_sink, pulse
from quorum.pipeline.streams.base import Outgoing
from quorum.pipeline.streams.progress import Progress, ended, unreachable, without_progress
from quorum.pipeline.streams.pubsub_sink import _Publish

IDLE = Progress(held=0, oldest=0.0, still=4_000.0, away=0.0, error="", ended=())


@pytest.mark.parametrize(
    ("what", "progress"),
    [
        ("an idle stream", IDLE),
        ("an upload after an idle hour", replace(IDLE, held=1, oldest=2.0)),
        ("an upload that waits for its detector", replace(IDLE, held=1, oldest=29.0)),
        ("a backlog that is worked off", replace(IDLE, held=5_000, oldest=400.0, still=0.1)),
    ],
)
def test_what_is_normal_is_no_problem(what: str, progress: Progress) -> None:
    assert without_progress(progress, 30.0) is None, what
    assert unreachable(progress) is None
    assert ended(progress) is None


def test_messages_of_which_none_ends_are_a_problem() -> None:
    told = without_progress(replace(IDLE, held=20, oldest=46.0, still=50.0), 45.0)
    assert told == (
        "20 messages are held, the oldest for 46 s, and none of them came to an end in the last "
        "50 s"
    )


def test_a_broker_that_is_away_longer_than_a_restart_takes_is_a_problem() -> None:
    assert unreachable(replace(IDLE, away=10.0, error="503 away")) is None
    assert unreachable(replace(IDLE, away=16.0, error="503 away")) == (
        "nothing could be pulled for 16 s: 503 away"
    )


def test_a_thread_that_is_gone_is_a_problem() -> None:
    assert "_pull_ahead s" in (ended(replace(IDLE, ended=("_pull_ahead s",))) or "")


def test_a_pulse_that_stops_is_a_standstill(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pulse, "_BEATS", {})
    monkeypatch.setattr(pulse, "STILL_SECONDS", 0.2)
    assert "is starting" in (pulse.not_begun(["a", "b"]) or "")
    pulse.beat("a")
    assert "is starting" in (pulse.not_begun(["a", "b"]) or "")
    pulse.beat("b")
    assert pulse.not_begun(["a", "b"]) is None
    assert pulse.standstill(["a", "b"]) is None
    for _ in range(3):
        time.sleep(0.1)
        pulse.beat("a")
    assert "stands still" in (pulse.standstill(["a", "b"]) or "")
    assert pulse.standstill(["a"]) is None


class Away:
    """A client whose broker is away until told otherwise."""

    def __init__(self) -> None:
        self.back = threading.Event()
        self.tried = threading.Event()

    def publish(self, *, retry: Any, **_: Any) -> None:
        def once() -> None:
            self.tried.set()
            if not self.back.is_set():
                msg = "no route to the broker"
                raise ServiceUnavailable(msg)

        retry(once)()


def test_publishing_that_does_not_succeed_is_a_problem_until_it_does(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    broker = Away()
    monkeypatch.setattr(pubsub_sink, "publisher_client", lambda: broker)
    monkeypatch.setattr(publishing, "LATE_SECONDS", 0.3)
    sink = _Publish("projects/p/topics/t", "/test")
    sink.setup()
    sink.start_bundle()
    review = Review(upload_id="u", verdict_id="v", action="allow", reviewer="a", at=now())
    sink.process(Outgoing((review,)))
    thread = threading.Thread(target=sink.finish_bundle, daemon=True)
    thread.start()
    assert broker.tried.wait(5)
    assert publishing.stuck_publishing() is None
    time.sleep(0.5)
    told = publishing.stuck_publishing() or ""
    assert told.startswith("a request to publish to projects/p/topics/t has not succeeded for")
    assert "no route to the broker" in told
    broker.back.set()
    thread.join(20)
    assert publishing.stuck_publishing() is None
