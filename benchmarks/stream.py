"""Throughput, latency and memory of the stream, beside a plain loop over the same uploads.

``python -m benchmarks.stream`` starts the Pub/Sub emulator and a job on Prism for each ensemble,
and writes a section of ``docs/benchmarks.md``. The plain loop has the same models, the same
features in the same batches and the same decision, and neither streams nor engine. The shipped
texts repeat, and what repeats is not embedded again; ``--data FOLDER``, which holds
``youtube_uploads`` and ``youtube_trending``, adds a row of texts that come once.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import statistics
import subprocess
import sys
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from google.api_core import exceptions as google_errors
from google.pubsub_v1.types import PublishRequest, PubsubMessage, PullResponse

from benchmarks.document import machine, peak_megabytes, table, write_section
from benchmarks.soak.processes import descendants
from benchmarks.traffic import NEVER, real
from quorum.aggregator.decider import Decider
from quorum.aggregator.policy.policy import Policy, load_policy
from quorum.apps.demo.examples import example_messages, examples_folder
from quorum.core.errors import MalformedMessage
from quorum.core.messages import Message, Prediction, Upload, Verdict, now
from quorum.core.settings import MediaAccess, Settings, WorkerSettings
from quorum.models.configured import ConfiguredDetector, choose_detectors, warm_up
from quorum.models.detectors import Detector, Example, Feature, Features, Finding
from quorum.models.features.extract import Extractor
from quorum.models.runner import predict, score_safely
from quorum.pipeline.engines import Engine, launch
from quorum.pipeline.streams.carrier import Carrier, signer_name
from quorum.pipeline.streams.emulator import emulator
from quorum.pipeline.streams.open import sink, source
from quorum.pipeline.streams.pubsub_clients import publisher_client, subscriber_client
from quorum.pipeline.streams.topics import create_topics, planned

PROJECT, PREFIX = "quorum-bench", "bench"
_BATCH = 32
_TRIVIAL_POLICY = """
name: trivial
detectors:
  one: {required: true, missing: review, failed: review, abstained: ignore}
  two: {required: true, missing: review, failed: review, abstained: ignore}
  three: {required: true, missing: review, failed: review, abstained: ignore}
rules:
  - name: high
    when: score("one") >= 0.9 || score("two") >= 0.9 || score("three") >= 0.9
    action: remove
    reason: A detector is certain.
"""


class Constant(Detector):
    """Costs nothing: what is left is the cost of the stream."""

    version = "constant"
    needs = frozenset({Feature.TEXT})

    def __init__(self, name: str) -> None:
        self.name = name

    def score(self, batch: Sequence[Features]) -> Sequence[Finding]:
        """0.1 for each."""
        return [Finding.scored(0.1) for _ in batch]

    @classmethod
    def examples(cls) -> Sequence[Example]:
        """None."""
        return []


class MakeConstant:
    """Makes a Constant."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __call__(self) -> Detector:
        """The detector."""
        return Constant(self.name)

    def __repr__(self) -> str:
        return f"constant {self.name}"


def ensemble(kind: str) -> tuple[tuple[ConfiguredDetector, ...], Policy]:
    """The members and the policy of ``trivial`` or ``real``."""
    if kind == "real":
        return choose_detectors(Settings()), load_policy("balanced")
    names = ("one", "two", "three")
    return tuple(ConfiguredDetector(name, MakeConstant(name)) for name in names), Policy.from_text(
        _TRIVIAL_POLICY
    )


def uploads(count: int, prefix: str, data: Path | None = None) -> list[bytes]:
    """Uploads, each with an id of its own: the titles in a folder of data, or the shipped texts."""
    texts = _shipped() if data is None else _titles(data)
    if data is not None and count > len(texts):
        sys.exit(f"{data} has {len(texts)} titles of channels that no model was trained on")
    return [
        json.dumps({**texts[index % len(texts)], "id": f"{prefix}-{index}"}).encode()
        for index in range(count)
    ]


def _titles(data: Path) -> list[dict[str, Any]]:
    """Titles of channels that no model was trained on, each once."""
    found = (one.upload for one in real(data, np.random.default_rng(0)) if one.part == NEVER)
    keys = {"uploader", "published_at"}
    return [
        {**one.model_dump(mode="json", include=keys), "title": title}
        for title, one in {one.title: one for one in found}.items()
    ]


def _shipped() -> list[dict[str, Any]]:
    """The shipped examples without their media."""
    texts = []
    for data in example_messages(examples_folder()):
        try:
            Upload.from_bytes(data)
        except MalformedMessage:
            continue
        texts.append({**json.loads(data), "media": None})
    return texts


class Loop:
    """The plain loop: decides uploads in batches, in one process and thread, without an engine.

    Args:
        kind: Of the ensemble, ``trivial`` or ``real``.
    """

    def __init__(self, kind: str) -> None:
        chosen, policy = ensemble(kind)
        warm_up(chosen)
        self._detectors = [member.detector for member in chosen]
        needs = frozenset().union(*(detector.needs for detector in self._detectors))
        self._extractor = Extractor(needs, MediaAccess())
        self._decider = Decider(policy)

    def decide(self, data: Sequence[bytes]) -> list[tuple[list[Prediction], Verdict]]:
        """The predictions and the verdict of each upload."""
        batch = [Upload.from_bytes(each) for each in data]
        features = self._extractor.extract(batch)
        made: list[list[Prediction]] = [[] for _ in batch]
        for detector in self._detectors:
            findings = score_safely(detector, features, 30.0)
            for predictions, seen, finding in zip(made, features, findings, strict=True):
                predictions.append(predict(detector, seen, finding, now(), 0.0))
        decided = []
        for predictions, upload in zip(made, batch, strict=True):
            at = now()
            verdict = self._decider.first(upload, predictions, arrived=at, at=at).verdict
            decided.append((predictions, verdict))
        return decided


def plain(kind: str, count: int, folder: Path | None) -> float:
    """Uploads a second of the plain loop, without a broker."""
    loop = Loop(kind)
    data = uploads(count, "plain", folder)
    done = 0
    began = time.perf_counter()
    for start in range(0, count, _BATCH):
        for _, verdict in loop.decide(data[start : start + _BATCH]):
            verdict.to_bytes()
            done += 1
    elapsed = time.perf_counter() - began
    if done != count:
        sys.exit(f"the plain loop made {done} verdicts of {count} uploads")
    return count / elapsed


def loop_at_broker(kind: str) -> None:
    """The plain loop between a subscription and topics, until it is ended.

    It publishes what the stream does, and acknowledges an upload once that is confirmed.
    """
    loop = Loop(kind)
    publisher, subscriber = publisher_client(), subscriber_client()
    carrier = Carrier("/quorum/bench", signer_name())
    message, request = PubsubMessage.pb(), PublishRequest.pb()

    def publish(topic: str, made: Sequence[Message]) -> None:
        sent = [message(data=data, attributes=more) for data, more in map(carrier.carried, made)]
        path = f"projects/{PROJECT}/topics/{PREFIX}-{topic}"
        publisher.publish(request=PublishRequest.wrap(request(topic=path, messages=sent)))

    subscription = f"projects/{PROJECT}/subscriptions/{PREFIX}-uploads-stream"
    while True:
        try:
            pulled = subscriber.pull(subscription=subscription, max_messages=256, timeout=30.0)
        except google_errors.DeadlineExceeded:
            continue
        received = list(PullResponse.pb(pulled).received_messages)
        for start in range(0, len(received), _BATCH):
            decided = loop.decide([one.message.data for one in received[start : start + _BATCH]])
            publish("predictions", [one for made, _ in decided for one in made])
            publish("verdicts", [verdict for _, verdict in decided])
        if received:
            ids = [one.ack_id for one in received]
            subscriber.acknowledge(subscription=subscription, ack_ids=ids)


def job(kind: str, *, isolation: bool) -> None:
    """The job under test: the fused graph on Prism, until it is told to stop."""
    chosen, policy = ensemble(kind)
    warm_up(chosen)
    origin = "/quorum/bench"

    def address(what: str, name: str) -> str:
        return f"projects/{PROJECT}/{what}/{PREFIX}-{name}"

    from quorum.models.supervision.spec import EnsembleSpec
    from quorum.pipeline import graph
    from quorum.pipeline.engines import acknowledge_on, cancel

    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    with launch(
        lambda pipeline: graph.stream(
            pipeline,
            uploads=source(
                address("subscriptions", "uploads-stream"),
                "uploads",
                acknowledge=acknowledge_on(Engine.PRISM),
            ),
            verdicts=sink(address("topics", "verdicts"), origin=origin),
            predictions=sink(address("topics", "predictions"), origin=origin),
            dead_letters=sink(address("topics", "dead-letters"), origin=origin),
            ensemble=EnsembleSpec(
                chosen, MediaAccess(), workers=WorkerSettings(isolation=isolation)
            ),
            policy=policy,
        ),
        Engine.PRISM,
        streaming=True,
    ) as result:
        stop.wait()
        cancel(result)


class Platform:
    """Publishes uploads and notes when each verdict comes.

    Attributes:
        came: When the first verdict of each upload came.
        decided: How many uploads of each prefix have a verdict.
        verdicts: By upload: the verdict's id by that of its message.
        by_deadline: Uploads that the deadline decided.
    """

    def __init__(self) -> None:
        create_topics(planned(PROJECT, PREFIX))
        self.publisher = publisher_client()
        self.subscriber = subscriber_client()
        self.came: dict[str, float] = {}
        self.decided: Counter[str] = Counter()
        self.verdicts: defaultdict[str, dict[str, str]] = defaultdict(dict)
        self._ended = threading.Event()
        self.by_deadline: set[str] = set()
        threading.Thread(target=self._listen, daemon=True).start()

    def close(self) -> None:
        """Stop listening."""
        self._ended.set()

    def _listen(self) -> None:
        subscription = f"projects/{PROJECT}/subscriptions/{PREFIX}-verdicts-platform"
        while not self._ended.is_set():
            try:
                response = self.subscriber.pull(
                    subscription=subscription, max_messages=1000, timeout=30.0
                )
            except Exception:  # an empty pull times out
                continue
            at = time.perf_counter()
            received = response.received_messages
            for one in received:
                verdict = json.loads(one.message.data)
                if verdict["upload_id"] not in self.came:
                    self.came[verdict["upload_id"]] = at
                    self.decided[verdict["upload_id"].rpartition("-")[0]] += 1
                self.verdicts[verdict["upload_id"]][one.message.message_id] = verdict["id"]
                if verdict["decided_by"] == "deadline":
                    self.by_deadline.add(verdict["upload_id"])
            if received:
                self.subscriber.acknowledge(
                    subscription=subscription, ack_ids=[one.ack_id for one in received]
                )

    def publish(self, data: list[bytes]) -> None:
        """Publish uploads, as fast as the broker takes them."""
        topic = f"projects/{PROJECT}/topics/{PREFIX}-uploads"
        for start in range(0, len(data), 500):
            chunk = [PubsubMessage(data=each) for each in data[start : start + 500]]
            self.publisher.publish(topic=topic, messages=chunk)

    def await_all(self, count: int, prefix: str, limit: float) -> None:
        """Wait for the verdicts of ``count`` uploads."""
        end = time.perf_counter() + limit
        while self.decided[prefix] < count:
            if time.perf_counter() > end:
                sys.exit(f"not all verdicts of {prefix} came within {limit:g} s")
            time.sleep(0.02)

    def throughput(self, count: int, prefix: str, folder: Path | None = None) -> float:
        """Uploads a second, from the first publication to the last verdict."""
        data = uploads(count, prefix, folder)
        began = time.perf_counter()
        self.publish(data)
        self.await_all(count, prefix, 300.0)
        last = max(at for name, at in self.came.items() if name.startswith(f"{prefix}-"))
        return count / (last - began)

    def latencies(self, rate: float, count: int, prefix: str) -> list[float]:
        """Milliseconds from publication to the verdict, at a steady rate; sorted."""
        sent = []
        began = time.perf_counter()
        for index, data in enumerate(uploads(count, prefix)):
            time.sleep(max(0.0, began + index / rate - time.perf_counter()))
            sent.append(time.perf_counter())
            self.publish([data])
        self.await_all(count, prefix, 60.0)
        return sorted((self.came[f"{prefix}-{index}"] - at) * 1000 for index, at in enumerate(sent))


@contextmanager
def running(*options: str, warm: str) -> Iterator[tuple[Platform, int]]:
    """A process of this module that has decided its first uploads, and its id.

    Args:
        options: What the process is.
        warm: Names its first uploads.
    """
    with emulator():
        platform = Platform()
        process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.stream", *options],
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        try:
            platform.publish(uploads(64, warm))
            platform.await_all(64, warm, 120.0)
            yield platform, process.pid
        finally:
            platform.close()
            process.terminate()
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()


def measure(
    kind: str, count: int, rate: float, seconds: float, folder: Path | None = None
) -> list[str]:
    """One row of the table; its throughput is of the texts in a folder, or of the shipped ones."""
    ways = ["--plain", kind, "--count", str(count)]
    ways += [] if folder is None else ["--data", str(folder)]
    told = subprocess.run(
        [sys.executable, "-m", "benchmarks.stream", *ways],
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    bare = float(told.split()[-1])
    with running("--job", kind, warm=f"{kind}-warm") as (platform, pid):
        spent = platform.latencies(rate, round(rate * seconds), f"{kind}-steady")
        through = platform.throughput(count, f"{kind}-burst", folder)
        memory = peak_megabytes(pid)
        engine = sum(peak_megabytes(one.pid) for one in descendants(pid) if one.is_prism)
    p99 = spent[min(len(spent) - 1, int(len(spent) * 0.99))]
    row = [
        kind if folder is None else f"{kind}, each text once",
        f"{through:,.0f}",
        f"{bare:,.0f}",
        f"{through / bare:.2f}",
        f"{statistics.median(spent):,.0f}",
        f"{p99:,.0f}",
        f"{memory:,.0f} + {engine:,.0f}",
    ]
    print("  ".join(row), flush=True)
    return row


def cost_of_isolation(kind: str, count: int, rounds: int) -> list[str]:
    """One row of the second table: throughput with and without children, in turn, the medians."""
    found: dict[bool, list[float]] = {True: [], False: []}
    for _ in range(rounds):
        for isolation, values in found.items():
            how = () if isolation else ("--in-process",)
            with running("--job", kind, *how, warm=f"{kind}-warm") as (platform, _pid):
                values += [platform.throughput(count, f"{kind}-burst{turn}") for turn in range(3)]
    with_children, without = (statistics.median(values) for values in found.values())
    row = [kind, f"{with_children:,.0f}", f"{without:,.0f}", f"{with_children / without:.2f}"]
    print("  ".join(row), flush=True)
    return row


def main() -> None:
    """Run the benchmark, or one of its processes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trivial", type=int, default=4000, help="uploads with trivial detectors")
    parser.add_argument("--real", type=int, default=800, help="uploads with the real detectors")
    parser.add_argument("--data", type=Path, help="of texts that come once, for a row more")
    parser.add_argument("--once", type=int, default=600, help="uploads with these texts")
    parser.add_argument("--rate", type=float, default=20.0, help="uploads/s for the latency")
    parser.add_argument("--seconds", type=float, default=15.0, help="how long at that rate")
    parser.add_argument("--rounds", type=int, default=2, help="of isolation's cost; 0 for none")
    parser.add_argument("--job", help=argparse.SUPPRESS)
    parser.add_argument("--in-process", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--plain", help=argparse.SUPPRESS)
    parser.add_argument("--loop", help=argparse.SUPPRESS)
    parser.add_argument("--count", type=int, default=0, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.job:
        job(args.job, isolation=not args.in_process)
        return
    if args.loop:
        loop_at_broker(args.loop)
    if args.plain:
        print(plain(args.plain, args.count, args.data))
        return
    head = [
        "detectors",
        "stream, uploads/s",
        "plain loop, uploads/s",
        "ratio",
        f"p50 at {args.rate:g}/s, ms",
        f"p99 at {args.rate:g}/s, ms",
        "peak memory, worker + Prism, MiB",
    ]
    print("  ".join(head))
    kinds = (("trivial", args.trivial), ("real", args.real))
    rows = [measure(kind, count, args.rate, args.seconds) for kind, count in kinds if count]
    once = ""
    if args.data is not None:
        rows.append(measure("real", args.once, args.rate, args.seconds, args.data))
        once = f"""
The shipped texts repeat, so that their embeddings are known; `each text once` is the throughput of
{args.once:,} titles of channels that no model was trained on, none of them twice (`--data DATA`).
"""
    costs = ""
    if args.rounds:
        costs_head = ["detectors", "in children, uploads/s", "in the worker, uploads/s", "ratio"]
        print("  ".join(costs_head))
        costs = f"""
What the children cost that features and detectors run in (`isolation: false` runs them in the
worker): the median throughput of {3 * args.rounds} bursts each, jobs of both kinds in turn.

{table(costs_head, [cost_of_isolation(kind, count, args.rounds) for kind, count in kinds if count])}
"""
    write_section(
        "stream",
        f"""## The stream

`python -m benchmarks.stream`, on {machine()}.

The fused graph on Prism over the Pub/Sub emulator on the same machine; predictions are
published too. `trivial` detectors cost nothing; `real` are those that ship, on texts. Throughput is
from the first publication to the last verdict of {args.trivial:,} and {args.real:,} uploads;
latency is from publication to the verdict at the platform. The plain loop is one process with the
same models, features and decisions in batches of {_BATCH}.

{table(head, rows)}
{once}{costs}""",
    )


if __name__ == "__main__":
    main()
