"""A person, a browser, the real emulator and the real job: a case is decided."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from google.pubsub_v1.types import Subscription

from quorum.aggregator.policy.policy import load_policy
from quorum.apps.console.app import create_console
from quorum.apps.console.desk import queues
from quorum.apps.console.desk.publishing import TopicReviewPublisher
from quorum.apps.console.settings import ConsoleSettings
from quorum.core.messages import Action, Prediction, Status, Upload, now, prediction_id
from quorum.pipeline.record import StreamRecorder, SubscriptionFeed
from quorum.store.ledger import Ledger
from tests.apps.console.conftest import PASSWORD, listening
from tests.pipeline.jobs import Job, Streams, wait_until

pytestmark = [pytest.mark.emulator, pytest.mark.browser, pytest.mark.slow]


@pytest.fixture
def streams(emulator: str) -> Streams:
    return Streams()


@pytest.fixture
def recorder(streams: Streams, ledger: Ledger) -> Iterator[StreamRecorder]:
    feeds = {}
    for name in ("uploads", "predictions", "verdicts", "reviews"):
        path = streams.subscription(f"{name}-record")
        wanted = Subscription(name=path, topic=streams.topic(name), ack_deadline_seconds=10)
        streams.subscriber.create_subscription(wanted)
        feeds[name] = SubscriptionFeed(path)
    made = StreamRecorder(ledger, feeds)
    thread = threading.Thread(target=made.run)
    thread.start()
    yield made
    made.stop()
    thread.join(40)


def test_a_reviewer_decides_and_the_verdict_changes(
    chromium: Any,
    streams: Streams,
    recorder: StreamRecorder,
    ledger: Ledger,
    tmp_path: Path,
    prism: str,
) -> None:
    policy = load_policy("balanced")
    upload = Upload(id="e2e-1", uploader="u", title="<b>Is it?</b>", published_at=now())
    predictions = [
        Prediction(
            id=prediction_id(upload.id, name, "v1"),
            upload_id=upload.id,
            detector=name,
            version="v1",
            status=Status.SCORED,
            score=0.8 if name == "violence" else 0.01,
            at=now(),
        )
        for name in policy.detectors
    ]
    app = create_console(
        ledger,
        policy,
        TopicReviewPublisher(streams.topic("reviews")),
        ConsoleSettings(undo=timedelta(seconds=1), golden_rate=0, double_rate=0),
    )
    job = Job(
        "decide",
        *("--uploads", streams.subscription("uploads-decide")),
        *("--predictions", streams.subscription("predictions-decide")),
        *("--reviews", streams.subscription("reviews-decide")),
        *("--verdicts", streams.topic("verdicts")),
        *("--dead-letters", streams.topic("dead-letters")),
        folder=tmp_path,
    )
    with job, listening(app) as url:
        streams.publish("uploads", [upload.to_bytes()])
        streams.publish("predictions", [one.to_bytes() for one in predictions])

        def waits() -> bool:
            return bool(queues.queue_page(ledger, queues.Queue(), "ana"))

        wait_until(waits, 100, job.log)
        page = chromium.new_page()
        page.goto(f"{url}/login")
        page.fill("[name=name]", "ana")
        page.fill("[name=password]", PASSWORD)
        page.keyboard.press("Enter")
        page.wait_for_selector("html[data-ready] #next")
        page.keyboard.press("n")
        page.wait_for_selector("html[data-ready] #decide")
        page.keyboard.press("m")
        page.keyboard.type("clearly a fight")
        page.keyboard.press("Escape")
        page.keyboard.press("x")
        page.wait_for_selector("html[data-ready] #toast")
        page.click("#toast a")
        page.wait_for_selector("text=New verdict", timeout=60_000)
        page.click("text=Show it")
        page.wait_for_selector(".verdict.remove")
        page.close()
    case = ledger.get_case("e2e-1")
    assert case is not None and case.verdict is not None
    assert case.verdict.action is Action.REMOVE
    assert case.verdict.decided_by == "reviewer"
    assert case.verdict.supersedes == case.verdicts[0].id
    assert case.reviews[0].note == "clearly a fight"
