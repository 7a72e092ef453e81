"""One message that kills its worker, among many that do not: on the real emulator and Prism."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from google.pubsub_v1.types import DeadLetterPolicy, PubsubMessage, Subscription

from quorum.core.messages import DeadLetter
from tests.pipeline.jobs import Streams

INNOCENT = 300
#: The fewest that Pub/Sub allows.
MOST_DELIVERIES = 5


@pytest.mark.long
@pytest.mark.emulator
@pytest.mark.prism
@pytest.mark.slow
@pytest.mark.timeout(600)
def test_the_innocent_are_processed_and_the_poison_is_our_dead_letter(
    emulator: str, prism: str, tmp_path: Path
) -> None:
    streams = Streams()
    path = streams.subscription("poisoned")
    streams.subscriber.create_subscription(
        request=Subscription(
            name=path,
            topic=streams.topic("uploads"),
            ack_deadline_seconds=10,
            dead_letter_policy=DeadLetterPolicy(
                dead_letter_topic=streams.topic("dead-letters"),
                max_delivery_attempts=MOST_DELIVERIES,
            ),
        )
    )
    innocent = {f"innocent-{number}".encode() for number in range(INNOCENT)}
    data = [*sorted(innocent), b"poison"]
    random.Random(11).shuffle(data)
    streams.publisher.publish(
        topic=streams.topic("uploads"),
        messages=[PubsubMessage(data=one, attributes={"mine": "kept"}) for one in data],
    )
    processed: set[bytes] = set()
    raw_dead: list[bytes] = []
    deaths = 0
    with (tmp_path / "worker.log").open("wb") as log:
        worker = _start(streams, path, log)
        end = time.monotonic() + 500
        try:
            while time.monotonic() < end and not (innocent <= processed and raw_dead):
                if worker.poll() is not None:
                    deaths += 1
                    worker = _start(streams, path, log)
                processed |= {
                    DeadLetter.from_bytes(one).data for one in streams.pull("verdicts-platform")
                }
                raw_dead += streams.pull("dead-letters-kept")
            assert worker.poll() is None
        finally:
            if worker.poll() is None:
                os.killpg(worker.pid, signal.SIGKILL)
                worker.wait()
    assert processed == innocent
    (letter,) = [DeadLetter.from_bytes(one) for one in raw_dead]
    assert (letter.data, letter.original, letter.stage) == (
        b"poison",
        {"mine": "kept"},
        "test.uploads",
    )
    assert letter.error.startswith(f"delivered {MOST_DELIVERIES} times")
    # The broker may count one more than were processed: it delivers to a connection that is gone.
    assert 2 < deaths < MOST_DELIVERIES


def _start(streams: Streams, path: str, log: object) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [
            *(sys.executable, "-m", "tests.pipeline.streams.killed_by_poison"),
            *(path, streams.topic("verdicts"), streams.topic("dead-letters")),
        ],
        stdout=log,  # type: ignore[call-overload]
        stderr=log,
        start_new_session=True,
    )
