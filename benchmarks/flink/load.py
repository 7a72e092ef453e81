"""The load gate: the stream on Flink at 80 % of its capacity, with a burst of ten times the rate.

``python -m benchmarks.flink.load`` measures what the stream sustains, publishes at 80 % of that for
10 minutes, with a burst in the middle, and exits with 1 unless every verdict came within the
policy's deadline and the lag is back to what it was before the burst. Cases are kept for seconds,
so that as many are closed as come, as after the hour of a real retention. A section of
``docs/benchmarks.md`` is written.

The capacity is that of a platform which publishes as fast as it is answered: publishing shares the
processors with the stream here, and a burst that is published beforehand is decided faster than
any rate that lasts.
"""

from __future__ import annotations

import argparse
import bisect
import itertools
import statistics
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from benchmarks.document import machine, table, write_section
from benchmarks.flink.deployment import Given, cluster, running
from benchmarks.stream import Platform, uploads

_SHARE, _TIMES = 0.8, 10.0
#: The most messages of a publication.
_AT_ONCE = 50
#: Seconds for which a publisher gathers messages, as clients of Pub/Sub do: each message by itself
#: costs the broker and the publisher more than the stream spends on it.
_TICK = 0.05
#: The most uploads without a verdict while the capacity is measured: some seconds of work.
_WAITING = 2_000
_TO_END = 600.0
#: Seconds between two lags that are printed.
_LOOK = 20


@dataclass(frozen=True)
class Load:
    """What was published, and when each verdict came; in seconds after the beginning.

    Attributes:
        sent: When each upload was published, in order.
        came: When its verdict came.
        burst: When the burst began and ended.
    """

    sent: Sequence[float]
    came: Sequence[float]
    burst: tuple[float, float]

    @property
    def latencies(self) -> list[float]:
        """Seconds from publication to verdict, sorted."""
        return sorted(came - sent for sent, came in zip(self.sent, self.came, strict=True))

    @cached_property
    def _decided(self) -> list[float]:
        return sorted(self.came)

    def lag(self, at: float) -> int:
        """How many uploads were published and not decided at a time."""
        return bisect.bisect_right(self.sent, at) - bisect.bisect_right(self._decided, at)

    def recovered(self) -> float | None:
        """Seconds from the burst's end until the lag is what it was before; None for never."""
        began, ended = self.burst
        # The highest of the second half before the burst: the lag of a steady stream.
        before = max(self.lag(began * (0.5 + 0.5 * part / 40)) for part in range(40))
        at = ended
        while at <= self.sent[-1]:
            if self.lag(at) <= before:
                return at - ended
            at += 0.5
        return None


def times(rate: float, seconds: float, burst: float) -> list[float]:
    """When each upload is published: steadily, and ten times as often in a burst in the middle."""
    made = []
    at, middle = 0.0, seconds / 2
    while at < seconds:
        made.append(at)
        at += 1 / (rate * (_TIMES if middle <= at < middle + burst else 1.0))
    return made


def publish(platform: Platform, planned: Sequence[float]) -> tuple[float, list[float]]:
    """Publish at these times; when that began, and when each was published."""
    data = uploads(len(planned), "load")
    sent: list[float] = []
    began = time.perf_counter()
    while len(sent) < len(planned):
        due = bisect.bisect_right(planned, time.perf_counter() - began)
        chunk = data[len(sent) : min(due, len(sent) + _AT_ONCE)]
        if chunk:
            sent += [time.perf_counter() - began] * len(chunk)
            platform.publish(chunk)
        if len(sent) == due:
            time.sleep(_TICK)
    return began, sent


def capacity_of(platform: Platform, seconds: float) -> float:
    """Uploads a second that are decided while as many are published, after a third of the time."""
    data = iter(uploads(int(seconds * 4_000), "capacity"))
    began, sent = time.perf_counter(), 0
    while (now := time.perf_counter()) < began + seconds:
        if sent - platform.decided["capacity"] < _WAITING:
            platform.publish(list(itertools.islice(data, _AT_ONCE)))
            sent += _AT_ONCE
        else:
            time.sleep(0.01)
    platform.await_all(sent, "capacity", _TO_END)
    came = sorted(platform.came[f"capacity-{number}"] for number in range(sent))
    first, last = (bisect.bisect_right(came, at) for at in (began + seconds / 3, now))
    if last - first < _AT_ONCE:
        sys.exit(f"only {last - first:,} verdicts came; give more --capacity-seconds")
    return (last - first) / (seconds * 2 / 3)


def measure(sustained: float, seconds: float, burst: float, given: Given) -> tuple[float, Load]:
    """The capacity in uploads a second, and the load at 80 % of it."""
    with cluster() as flink, running(given, flink) as job:
        platform = job.platform
        capacity = capacity_of(platform, sustained)
        print(f"capacity: {capacity:,.0f} uploads/s", flush=True)
        planned = times(_SHARE * capacity, seconds, burst)
        began, sent = publish(platform, planned)
        platform.await_all(len(planned), "load", _TO_END)
        came = [platform.came[f"load-{index}"] - began for index in range(len(planned))]
    return capacity, Load(sent, came, (seconds / 2, seconds / 2 + burst))


def main() -> None:
    """Run the gate."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=600.0, help="how long there is load")
    parser.add_argument("--burst", type=float, default=2.0, help="how long the burst is, seconds")
    parser.add_argument("--deadline", type=float, default=60.0, help="of the policy, in seconds")
    parser.add_argument("--retention", type=float, default=10.0, help="of the policy, in seconds")
    parser.add_argument(
        "--capacity-seconds", type=float, default=90.0, help="for which the capacity is measured"
    )
    parser.add_argument("--note", default="", help="a sentence about the machine, for the page")
    parser.add_argument("--dry-run", action="store_true", help="do not write the page")
    args = parser.parse_args()
    given = Given(deadline=args.deadline, retention=args.retention)
    capacity, load = measure(args.capacity_seconds, args.seconds, args.burst, given)
    spent = load.latencies
    recovered = load.recovered()
    late = sum(one > args.deadline for one in spent)
    row = [
        f"{capacity:,.0f}",
        f"{_SHARE * capacity:,.0f}",
        f"{len(spent):,}",
        f"{statistics.median(spent):.2f}",
        f"{spent[int(len(spent) * 0.99)]:.2f}",
        f"{spent[-1]:.2f}",
        str(late),
        f"{load.lag(load.burst[1]):,}",
        "not within the run" if recovered is None else f"{recovered:.0f}",
    ]
    head = ["capacity, uploads/s", "rate", "uploads", "p50, s", "p99, s", "worst, s"]
    head += ["after the deadline", "lag at the burst's end", "lag back after, s"]
    made = table(head, [row])
    print(made)
    print(
        "lag by second:",
        ", ".join(f"{at} {load.lag(at):,}" for at in range(0, int(load.came[-1]), _LOOK)),
    )
    if not args.dry_run:
        write_section(
            "flink-load",
            f"""## The load gate

`python -m benchmarks.flink.load --seconds {args.seconds:g}`, on {machine()}. {args.note}

`quorum stream --runner flink` with trivial detectors at {_SHARE:.0%} of its capacity for
{args.seconds:g} s, and at {_TIMES:g} times that rate for {args.burst:g} s in the middle; a
deadline of {args.deadline:g} s. The capacity is what was decided in two thirds of
{args.capacity_seconds:g} s in which {_WAITING:,} uploads always waited and as many were published
as decided. Cases are kept for {args.retention:g} s, so that as many are closed as come. The lag is
what was published and not decided.

{made}
""",
        )
    if late or recovered is None:
        sys.exit("the gate is not passed")


if __name__ == "__main__":
    main()
