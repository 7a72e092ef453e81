"""A worker on Prism that one message kills: ``python -m … UPLOADS VERDICTS DEAD-LETTERS``."""

from __future__ import annotations

import os
import signal
import sys
import threading

import apache_beam as beam

from quorum.core.messages import DeadLetter, now
from quorum.pipeline.engines import Engine, launch
from quorum.pipeline.refused import KeepRefused
from quorum.pipeline.streams import subscription
from quorum.pipeline.streams.base import Outgoing, Received
from quorum.pipeline.streams.open import sink, source


def processed(received: Received) -> Outgoing:
    if received.data == b"poison":
        os.killpg(os.getpgid(0), signal.SIGKILL)
    outcome = DeadLetter.of(received.data, {}, "test", "processed", now())
    return Outgoing(outcome, (received.ack_id,))


def main(uploads: str, verdicts: str, dead_letters: str) -> None:
    subscription.LEASE_SECONDS = 10

    def build(pipeline: beam.Pipeline) -> None:
        refused = KeepRefused("test.uploads", sink(dead_letters, origin="/test"))
        read = source(uploads, "uploads", refused=refused).transform()
        _ = (
            pipeline
            | "Read" >> read
            | "Process" >> beam.Map(processed).with_output_types(Outgoing)
            | "Publish" >> sink(verdicts, origin="/test").transform()
        )

    with launch(build, Engine.PRISM, streaming=True):
        threading.Event().wait()


if __name__ == "__main__":
    main(*sys.argv[1:])
