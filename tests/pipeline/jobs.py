"""Jobs as a user runs them: the command line in a process of its own, on the emulator."""

from __future__ import annotations

import itertools
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from google.api_core.exceptions import DeadlineExceeded
from google.pubsub_v1.types import PubsubMessage

from quorum.core.messages import DeadLetter, Prediction, Verdict
from quorum.pipeline.streams.pubsub_clients import publisher_client, subscriber_client
from quorum.pipeline.streams.topics import create_topics, planned

_names = itertools.count()


def wait_until(true: Callable[[], bool], seconds: float, told: Callable[[], str]) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, told()
        time.sleep(0.1)


class Streams:
    """The streams of one deployment, seen from the platform."""

    def __init__(self) -> None:
        self.prefix = f"job{next(_names)}"
        self.plan = planned("quorum-test", self.prefix, fused=True, apart=True)
        create_topics(self.plan)
        self.publisher = publisher_client()
        self.subscriber = subscriber_client()
        self.verdicts: list[Verdict] = []
        self.dead: list[DeadLetter] = []
        self.raw_dead: list[bytes] = []
        self.predictions: list[Prediction] = []

    def topic(self, name: str) -> str:
        return f"projects/quorum-test/topics/{self.prefix}-{name}"

    def subscription(self, name: str) -> str:
        return f"projects/quorum-test/subscriptions/{self.prefix}-{name}"

    def publish(self, stream: str, messages: Sequence[bytes]) -> None:
        for start in range(0, len(messages), 100):
            chunk = [PubsubMessage(data=data) for data in messages[start : start + 100]]
            self.publisher.publish(topic=self.topic(stream), messages=chunk)

    def pull(self, name: str) -> list[bytes]:
        try:
            response = self.subscriber.pull(
                subscription=self.subscription(name), max_messages=1000, timeout=0.5, retry=None
            )
        except DeadlineExceeded:
            return []
        received = response.received_messages
        if received:
            self.subscriber.acknowledge(
                subscription=self.subscription(name), ack_ids=[one.ack_id for one in received]
            )
        return [one.message.data for one in received]

    def listen(self) -> None:
        self.verdicts += [Verdict.from_bytes(data) for data in self.pull("verdicts-platform")]
        self.dead += [DeadLetter.from_bytes(data) for data in self.pull("dead-letters-kept")]

    def decided(self) -> set[str]:
        return {verdict.upload_id for verdict in self.verdicts}

    def await_verdicts(self, expected: set[str], job: Job, seconds: float = 90.0) -> None:
        def arrived() -> bool:
            self.listen()
            return expected <= self.decided()

        wait_until(
            arrived,
            seconds,
            lambda: f"lacking {sorted(expected - self.decided())[:5]}\n{job.log()}",
        )


class Job:
    """``quorum VERB`` in a process group of its own, so that all of it can be killed at once."""

    def __init__(self, verb: str, *args: str, folder: Path) -> None:
        self._log = folder / f"{verb}-{time.monotonic_ns()}.log"
        with self._log.open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "quorum", verb, *args],
                stdout=log,
                stderr=log,
                env=os.environ.copy(),
                start_new_session=True,
            )

    def whole_log(self) -> str:
        return self._log.read_text(errors="replace")

    def log(self) -> str:
        return self.whole_log()[-3000:]

    def kill(self) -> None:
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def stop(self, seconds: float = 40.0) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(seconds)

    def __enter__(self) -> Job:
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.kill()


def fused(streams: Streams, folder: Path, *more: str) -> Job:
    return Job(
        "stream",
        *("--uploads", streams.subscription("uploads-stream")),
        *("--predictions", streams.topic("predictions")),
        *("--reviews", streams.subscription("reviews-stream")),
        *("--verdicts", streams.topic("verdicts")),
        *("--dead-letters", streams.topic("dead-letters")),
        *more,
        folder=folder,
    )
