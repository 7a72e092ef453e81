"""The demo on a real stream: the Pub/Sub emulator, and a job on Prism."""

from __future__ import annotations

import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from quorum.apps.demo.board import Board
from quorum.apps.demo.wave import Stage
from quorum.core.errors import MalformedMessage, QuorumError
from quorum.core.messages import DeadLetter, Review, Upload, Verdict, now
from quorum.core.with_parent import start_with_parent

__all__ = ["on_pubsub"]

_PROJECT = "quorum-demo"
_PREFIX = "quorum"

#: The demo ends by itself, in about a minute where nothing else runs; an act that takes this long
#: shows what has come, and fails.
_LIMIT_SECONDS = 240.0

#: Uploads that are under way at a time.
UNDER_WAY = 2


@contextmanager
def _job(args: list[str], work: Path, env: dict[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    with (work / "job.log").open("wb") as log:
        process = start_with_parent(
            [sys.executable, "-m", "quorum", "stream", *args],
            stdout=log,
            stderr=log,
            env={**os.environ, **env},
            start_new_session=True,
        )
    try:
        yield process
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()


def _failed(process: subprocess.Popen[bytes], work: Path) -> None:
    if process.poll() not in (None, 0):
        tail = (work / "job.log").read_text(errors="replace").strip().splitlines()[-5:]
        msg = "the job failed:\n" + "\n".join(tail)
        raise QuorumError(msg)


def on_pubsub(
    messages: Sequence[bytes],
    board: Board,
    args: Sequence[str],
    work: Path,
    show: Callable[[], None],
    then: Callable[[Stage], None] | None = None,
) -> None:
    """Publish the messages to the emulator, and take what the job answers.

    A few are under way at a time, so that a latency is that of an upload and not of a queue. One
    upload goes first and is not shown: by its verdict the models are loaded.

    Args:
        messages: Uploads as JSON, and what is none.
        board: Gets the verdicts and the dead letters.
        args: More options of the job.
        work: A folder for its log.
        show: Called whenever something came.
        then: Called with the stage when all of them came to an end.

    Raises:
        QuorumError: If the job fails.
    """
    from quorum.pipeline.streams.pubsub_clients import publisher_client
    from quorum.pipeline.streams.topics import create_topics, planned

    create_topics(planned(_PROJECT, _PREFIX))
    topics = f"projects/{_PROJECT}/topics/{_PREFIX}"
    subscriptions = f"projects/{_PROJECT}/subscriptions/{_PREFIX}"
    options = [
        *("--uploads", f"{subscriptions}-uploads-stream"),
        *("--reviews", f"{subscriptions}-reviews-stream"),
        *("--predictions", f"{topics}-predictions"),
        *("--verdicts", f"{topics}-verdicts"),
        *("--dead-letters", f"{topics}-dead-letters"),
        *("--runner", "prism"),
    ]
    publisher = publisher_client()
    with (
        _job([*options, *args], work, {}) as process,
        _received(f"{subscriptions}-verdicts-platform") as verdicts,
        _received(f"{subscriptions}-dead-letters-kept") as letters,
    ):
        stage = _OnPubsub(publisher, topics, verdicts, letters, lambda: _failed(process, work))
        stage.warm_up()
        stage.play(messages, board, show, UNDER_WAY)
        if then is not None and board.done:
            then(stage)


class _OnPubsub:
    """Publishes to the emulator and takes what the job answers; see ``Stage``."""

    def __init__(
        self,
        publisher: Any,
        topics: str,
        verdicts: queue.SimpleQueue[bytes],
        letters: queue.SimpleQueue[bytes],
        check: Callable[[], None],
    ) -> None:
        self._publisher = publisher
        self._topics = topics
        self._verdicts = verdicts
        self._letters = letters
        self._check = check
        self._first = Upload(id="demo-first", uploader="demo", title="Hello", published_at=now())
        self._warm = False

    def warm_up(self) -> None:
        """Send the upload that is not shown."""
        self._publish("uploads", self._first.to_bytes())

    def play(
        self, messages: Sequence[bytes], board: Board, show: Callable[[], None], at_once: int
    ) -> None:
        published = Published()
        to_send = iter(messages)
        end = time.monotonic() + _LIMIT_SECONDS
        while not board.done and time.monotonic() < end:
            self._take(board)
            show()
            while self._warm and published.under_way(board) < at_once:
                if (data := next(to_send, None)) is None:
                    break
                published.add(data)
                self._publish("uploads", data)
            time.sleep(0.02)

    def decide(self, reviews: Sequence[Review], board: Board) -> None:
        for review in reviews:
            self._publish("reviews", review.to_bytes())
        waiting = {one.upload_id for one in reviews}
        end = time.monotonic() + _LIMIT_SECONDS
        while waiting and time.monotonic() < end:
            self._take(board)
            waiting = {one for one in waiting if board.verdicts[one].decided_by != "reviewer"}
            time.sleep(0.02)

    def _take(self, board: Board) -> None:
        self._check()
        for verdict in map(Verdict.from_bytes, _taken(self._verdicts)):
            self._warm = True
            if verdict.upload_id != self._first.id:
                board.verdict(verdict)
        for letter in map(DeadLetter.from_bytes, _taken(self._letters)):
            board.dead_letter(letter)

    def _publish(self, stream: str, data: bytes) -> None:
        from google.pubsub_v1.types import PubsubMessage

        topic = f"{self._topics}-{stream}"
        self._publisher.publish(topic=topic, messages=[PubsubMessage(data=data)])


class Published:
    """What was published: uploads by id, and messages that are none."""

    def __init__(self) -> None:
        self._sent: set[str | bytes] = set()

    def add(self, data: bytes) -> None:
        """Note a message before it is published."""
        try:
            self._sent.add(Upload.from_bytes(data).id)
        except MalformedMessage:
            self._sent.add(data)

    def under_way(self, board: Board) -> int:
        """How many of them have neither a verdict nor a dead letter."""
        return len(self._sent) - len(board.verdicts) - len(board.dead)


@contextmanager
def _received(subscription: str) -> Iterator[queue.SimpleQueue[bytes]]:
    """The messages of a subscription, as they come, acknowledged."""
    from google.api_core.exceptions import GoogleAPICallError

    from quorum.pipeline.streams.pubsub_clients import subscriber_client

    came: queue.SimpleQueue[bytes] = queue.SimpleQueue()
    ended = threading.Event()

    def pull() -> None:
        client = subscriber_client()
        while not ended.is_set():
            try:
                for body in _pulled(client, subscription):
                    came.put(body)
            except GoogleAPICallError:  # the job that fails with the broker says why
                ended.wait(0.2)

    thread = threading.Thread(target=pull, name=f"demo {subscription}", daemon=True)
    thread.start()
    try:
        yield came
    finally:
        ended.set()
        thread.join(5)


def _taken(came: queue.SimpleQueue[bytes]) -> Iterator[bytes]:
    with suppress(queue.Empty):
        while True:
            yield came.get_nowait()


def _pulled(client: Any, subscription: str) -> list[bytes]:
    from google.api_core.exceptions import DeadlineExceeded

    try:
        response = client.pull(subscription=subscription, max_messages=100, timeout=0.5, retry=None)
    except DeadlineExceeded:
        return []
    received = response.received_messages
    if received:
        client.acknowledge(subscription=subscription, ack_ids=[one.ack_id for one in received])
    return [one.message.data for one in received]
