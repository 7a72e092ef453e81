"""Whether a checkpoint of the stream on Flink grows by itself: a line through two thousand.

``python -m benchmarks.flink.checkpoints`` starts a cluster and a job, lets it be idle for so many
checkpoints, then publishes at changing rates for as many, and fits the bytes of a checkpoint: of
the idle stream to the checkpoint's number, of the busy one to that and to the number of open cases.
It exits with 1 if a checkpoint grows with its number. A section of ``docs/benchmarks.md`` is
written.
"""

from __future__ import annotations

import argparse
import bisect
import csv
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import cycle
from pathlib import Path

from benchmarks.document import machine, table, write_section
from benchmarks.flink.cluster import Flink
from benchmarks.flink.deployment import Given, cluster, running
from benchmarks.flink.lines import Coefficient, plane
from benchmarks.stream import Platform, uploads
from quorum.pipeline.flink.cluster import FlinkCluster

#: Uploads a second of the busy stream, one rate after the other.
_RATES = (5.0, 20.0, 10.0, 30.0)
#: The first of the measured checkpoints are left out: caches fill.
_WARM = 0.1
_LOOK_SECONDS = 2.0
#: Growth by less than this is none: 86 KB a day at one checkpoint a second.
_BYTES = 1.0


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A completed checkpoint.

    Attributes:
        number: Counted from the start of the job.
        at: When it was triggered, in seconds since 1970.
        size: Its bytes.
    """

    number: int
    at: float
    size: int


#: Checkpoints, each with the number of open cases.
_Measured = Sequence[tuple[Checkpoint, int]]


def completed(cluster_: FlinkCluster, job: str, after: int) -> list[Checkpoint]:
    """The completed checkpoints of a job that the cluster remembers, later than a number."""
    told = cluster_.get(f"/jobs/{job}/checkpoints").get("history", ())
    return sorted(
        (
            Checkpoint(int(one["id"]), one["trigger_timestamp"] / 1000, int(one["state_size"]))
            for one in told
            if one["status"] == "COMPLETED" and int(one["id"]) > after
        ),
        key=lambda one: one.number,
    )


def follow(flink: Flink, job: str, count: int) -> Iterator[Checkpoint]:
    """The next so many checkpoints of a job, as they are completed."""
    last = max((one.number for one in completed(flink.cluster, job, 0)), default=0)
    seen = 0
    while seen < count:
        time.sleep(_LOOK_SECONDS)
        for one in completed(flink.cluster, job, last)[: count - seen]:
            last, seen = one.number, seen + 1
            yield one


def watched(flink: Flink, job: str, count: int, what: str) -> list[Checkpoint]:
    """``follow``, with a line for each hundred."""
    made: list[Checkpoint] = []
    for one in follow(flink, job, count):
        made.append(one)
        if len(made) % 100 == 0:
            print(f"{what}: checkpoint {one.number}, {one.size:,} bytes", flush=True)
    return made


def publish(platform: Platform, seconds: float, stop: threading.Event) -> None:
    """Publish at changing rates until told to stop.

    Args:
        platform: Publishes.
        seconds: How long each rate lasts.
        stop: Ends it.
    """
    for number, rate in enumerate(cycle(_RATES)):
        # Ids of one length: a longer one is a larger case.
        data = uploads(round(rate * seconds), f"busy{number:04}")
        began = time.perf_counter()
        for index, each in enumerate(data):
            if stop.wait(max(0.0, began + index / rate - time.perf_counter())):
                return
            platform.publish([each])


def open_cases(came: Sequence[float], retention: float, at: float) -> int:
    """How many cases are kept at a time.

    Args:
        came: When each verdict came, sorted.
        retention: Seconds that a case is kept after its verdict.
        at: The time, by the same clock.
    """
    return bisect.bisect_right(came, at) - bisect.bisect_right(came, at - retention)


def measure(
    count: int, milliseconds: int, retention: float, phase: float
) -> tuple[list[tuple[Checkpoint, int]], list[tuple[Checkpoint, int]]]:
    """Checkpoints of an idle and of a busy stream, each with the number of open cases."""
    given = Given(checkpoint_milliseconds=milliseconds, retention=retention)
    with cluster() as flink, running(given, flink, warm=32) as job:
        # The cases of the first uploads end.
        time.sleep(retention + 5.0)
        idle = watched(flink, job.job, count, "idle")
        stop = threading.Event()
        thread = threading.Thread(target=publish, args=(job.platform, phase, stop), daemon=True)
        thread.start()
        busy = watched(flink, job.job, count, "busy")
        stop.set()
        thread.join(30.0)
        time.sleep(2.0)
        since = time.time() - time.perf_counter()
        came = sorted(at + since for at in list(job.platform.came.values()))
    return [(one, 0) for one in idle], [(one, open_cases(came, retention, one.at)) for one in busy]


def _kept(measured: _Measured) -> _Measured:
    return measured[int(len(measured) * _WARM) :]


def fitted(measured: _Measured, *, busy: bool) -> dict[str, Coefficient]:
    """The bytes of a checkpoint by its number, and by the open cases of a busy stream."""
    kept = _kept(measured)
    columns = {"number": [float(one.number) for one, _ in kept]}
    if busy:
        columns["cases"] = [float(cases) for _, cases in kept]
    return plane(columns, [float(one.size) for one, _ in kept])


def _row(name: str, measured: _Measured, *, busy: bool) -> list[str]:
    fit = fitted(measured, busy=busy)
    kept = _kept(measured)
    cases = [count for _, count in kept]
    sizes = [one.size for one, _ in kept]

    def told(one: Coefficient | None, digits: int) -> str:
        return "" if one is None else f"{one.value:+,.{digits}f} ± {one.within:,.{digits}f}"

    return [
        name,
        f"{len(kept):,}",
        f"{min(cases):,} to {max(cases):,}",
        f"{min(sizes):,} to {max(sizes):,}",
        told(fit["number"], 2),
        told(fit.get("cases"), 0),
    ]


def _write_samples(path: Path, idle: _Measured, busy: _Measured) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["stream", "number", "at", "bytes", "cases"])
        for name, measured in (("idle", idle), ("busy", busy)):
            for one, cases in measured:
                writer.writerow([name, one.number, f"{one.at:.3f}", one.size, cases])


def main() -> None:
    """Run the measurement."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--checkpoints", type=int, default=2000, help="of each of the two streams")
    parser.add_argument("--milliseconds", type=int, default=300, help="between two checkpoints")
    parser.add_argument("--retention", type=float, default=30.0, help="of a case, in seconds")
    parser.add_argument("--phase", type=float, default=40.0, help="seconds that a rate lasts")
    parser.add_argument("--samples", type=Path, help="write each checkpoint to this CSV file")
    parser.add_argument("--dry-run", action="store_true", help="do not write the page")
    args = parser.parse_args()
    idle, busy = measure(args.checkpoints, args.milliseconds, args.retention, args.phase)
    if args.samples:
        _write_samples(args.samples, idle, busy)
    head = ["stream", "checkpoints", "open cases", "bytes", "bytes a checkpoint", "bytes a case"]
    made = table(head, [_row("idle", idle, busy=False), _row("busy", busy, busy=True)])
    print(made)
    if not args.dry_run:
        rates = ", ".join(f"{rate:g}" for rate in _RATES)
        write_section(
            "flink-checkpoints",
            f"""## Checkpoints on Flink

`python -m benchmarks.flink.checkpoints`, on {machine()}.

`quorum stream --runner flink` on a cluster of one TaskManager, a checkpoint every
{args.milliseconds} ms, trivial detectors. The bytes of a checkpoint are fitted to its number, and
on the busy stream (rates of {rates} uploads/s in turn, a retention of {args.retention:g} s) to the
number of open cases, too; with 95 % confidence intervals, the first {_WARM:.0%} left out.

{made}
""",
        )
    growing = [
        name
        for name, measured, is_busy in (("idle", idle, False), ("busy", busy, True))
        if (one := fitted(measured, busy=is_busy)["number"]).value - one.within > _BYTES
    ]
    if growing:
        sys.exit(f"the checkpoint of the {' and of the '.join(growing)} stream grows by itself")


if __name__ == "__main__":
    main()
