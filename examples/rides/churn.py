"""A batch over the stream of rides: which riders will not come back, window by window.

    python -m examples.rides.made 3000 month > rides.jsonl
    python -m examples.rides.churn train rides.jsonl model
    python -m examples.rides.churn score rides.jsonl churn.jsonl --model file:model \\
        --report churn.html

The file of rides is a stream that has ended: what reads it would read Pub/Sub. Windows, registry,
engine, sinks and the report are those of ``quorum batch``. Run again, or after it was killed, it
scores what has no score yet: a new window, a rider of whom more is known, or all by a new model.
"""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import apache_beam as beam
from apache_beam.ml.inference.base import ModelHandler, RunInference

from examples.rides.churn_model import AWAY, ChurnModel, Known, known_at, train
from examples.rides.messages import Churn, Ride
from examples.rides.stream import Decode
from quorum.core.report.page import render
from quorum.core.report.plots import bars, histogram
from quorum.messages import MalformedMessage
from quorum.pipeline.batch.windows import Window, windows
from quorum.pipeline.engines import Engine, launch
from quorum.pipeline.streams.base import Outgoing
from quorum.pipeline.streams.open import sink, source

__all__ = ["read", "report", "score", "train_on"]

#: A rider with a greater score is likely to be gone.
_GONE = 0.5


class Handler(ModelHandler[Known, Churn, ChurnModel]):
    """Runs the model in RunInference; each worker reads it from where the reference says."""

    def __init__(self, reference: str) -> None:
        super().__init__(max_batch_size=256)
        self.reference = reference

    def load_model(self) -> ChurnModel:
        """See ModelHandler."""
        return ChurnModel.open(self.reference)

    def run_inference(
        self,
        batch: Sequence[Known],
        model: ChurnModel,
        inference_args: dict[str, Any] | None = None,
    ) -> Iterable[Churn]:
        """See ModelHandler."""
        for known, value in zip(batch, model.score(batch), strict=True):
            yield Churn(
                rider=known.rider,
                until=known.until,
                version=model.version,
                score=round(value, 6),
                seen=known.digest,
            )


def known_of(rider: tuple[str, Iterable[datetime]], ends: Sequence[datetime]) -> Iterator[Known]:
    """What is known of a rider at the end of each window."""
    times = list(rider[1])
    for end in ends:
        if (known := known_at(rider[0], times, end)) is not None:
            yield known


def read(path: str) -> Iterator[Churn]:
    """The scores of a file; a line that a killed process left half is none."""
    if not Path(path).is_file():
        return
    for line in Path(path).read_bytes().splitlines():
        try:
            yield Churn.from_bytes(line)
        except MalformedMessage:
            continue


def score(rides: str, scores: str, dead_letters: str, reference: str, window: Window) -> int:
    """Score every rider at the end of every window that is over, unless that is done.

    Returns:
        How many scores are new.
    """
    ends = window_ends(rides, window)
    done = frozenset(one.event_id() for one in read(scores))
    origin = "/examples/rides/churn"

    def build(pipeline: beam.Pipeline) -> None:
        decoded = (
            pipeline
            | "Rides" >> source(rides, "rides").transform()
            | "Decode" >> beam.ParDo(Decode()).with_outputs("dead", main="rides")
        )
        (
            decoded.rides
            | "By rider" >> beam.Map(lambda ride: (ride.rider, ride.asked_at))
            | "Riders" >> beam.GroupByKey()
            | "Known" >> beam.FlatMap(known_of, ends)
            | "Score" >> RunInference(Handler(reference))
            | "New" >> beam.Filter(lambda one: one.event_id() not in done)
            | "Message" >> beam.Map(lambda one: Outgoing((one,)))
            | "Scores" >> sink(scores, origin=origin).transform()
        )
        decoded.dead | "Dead letters" >> sink(dead_letters, origin=origin).transform()

    with launch(build, Engine.DIRECT, streaming=False) as result:
        result.wait_until_finish()
    return len({one.event_id() for one in read(scores)} - done)


def window_ends(rides: str, window: Window) -> list[datetime]:
    """The ends of the windows that the rides of a file fill."""
    times = sorted(ride.asked_at for ride in _rides(rides))
    if not times:
        return []
    return [one.until for one in windows(window, times[0], times[-1]) if one.until is not None]


def _rides(path: str) -> Iterator[Ride]:
    for line in Path(path).read_bytes().splitlines():
        try:
            yield Ride.from_bytes(line)
        except MalformedMessage:
            continue


def train_on(rides: str, folder: Path) -> str:
    """Train on the windows whose following week is known; the version of the model."""
    by_rider: dict[str, list[datetime]] = {}
    for ride in _rides(rides):
        by_rider.setdefault(ride.rider, []).append(ride.asked_at)
    newest = max(max(times) for times in by_rider.values())
    ends = [end for end in window_ends(rides, Window.DAILY)[6:] if end + AWAY <= newest]
    return train(by_rider, ends, folder).version


def report(scores: Iterable[Churn]) -> str:
    """A page of the scores: riders likely to be gone by window, and how scores are distributed."""
    made = list(scores)
    ends = sorted({one.until for one in made})
    gone = Counter(one.until for one in made if one.score > _GONE)
    every = Counter(one.until for one in made)
    series = {
        "allow": [every[end] - gone[end] for end in ends],  # these names have a colour
        "remove": [gone[end] for end in ends],
    }
    counts = Counter(min(9, int(one.score * 10)) for one in made)
    newest = [one for one in made if ends and one.until == ends[-1]]
    worst = sorted(newest, key=lambda one: (-one.score, one.rider))[:10]
    return render(
        Path(__file__).parent / "churn.html",
        title="Riders who may not come back",
        tiles_=[
            (f"{len(newest):,}", "riders at the end of the last window", ""),
            (f"{sum(one.score > _GONE for one in newest):,}", "likely to be gone", "remove"),
            (", ".join(sorted({one.version for one in made})), "version of the model", ""),
        ],
        plot=bars(ends, series),
        bins=histogram(
            [counts[bin_] for bin_ in range(10)], [f"{bin_ / 10:g}" for bin_ in range(10)]
        ),
        worst=[(one.rider, f"{one.score:.2f}") for one in worst],
    )


def main() -> None:
    """Train, or score and report."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    verbs = parser.add_subparsers(dest="verb", required=True)
    training = verbs.add_parser("train", help="fit the model, and write its artifact")
    training.add_argument("rides")
    training.add_argument("folder", type=Path)
    scoring = verbs.add_parser("score", help="score what has no score yet")
    scoring.add_argument("rides")
    scoring.add_argument("scores")
    scoring.add_argument("--model", default="file:model")
    scoring.add_argument("--window", type=Window, default=Window.DAILY)
    scoring.add_argument("--dead-letters", default="dead.jsonl")
    scoring.add_argument("--report", type=Path)
    asked = parser.parse_args()
    if asked.verb == "train":
        print(f"{asked.folder}: version {train_on(asked.rides, asked.folder)}")
        return
    new = score(asked.rides, asked.scores, asked.dead_letters, asked.model, asked.window)
    print(f"{new:,} new scores in {asked.scores}")
    if asked.report:
        asked.report.write_text(report(read(asked.scores)), encoding="utf-8")
        print(f"{asked.report} shows them")


if __name__ == "__main__":
    main()
