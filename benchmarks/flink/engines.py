"""The stream on Flink beside Prism and plain loops: throughput and latency in one run.

``python -m benchmarks.flink.engines`` decides the same uploads with detectors that cost nothing on
each engine, by ``quorum stream`` as it ships: what is left is the cost of the engine. The engines
take turns, so that a change of the machine's load falls on both. A section of
``docs/benchmarks.md`` is written.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
from collections import defaultdict
from collections.abc import Mapping, Sequence

from benchmarks.document import machine, table, write_section
from benchmarks.flink.cluster import Flink
from benchmarks.flink.deployment import Given, cluster, running
from benchmarks.soak.processes import processor_seconds
from benchmarks.stream import running as looping

_BARE, _LOOP = "plain loop", "plain loop at the broker"
_Latencies = dict[tuple[str, float], list[float]]


def plain(count: int) -> float:
    """Uploads a second of the plain loop, in a process of its own."""
    told = subprocess.run(
        [sys.executable, "-m", "benchmarks.stream", "--plain", "trivial", "--count", str(count)],
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    return float(told.split()[-1])


def measure(
    flink: Flink, warm: int, count: int, rates: Sequence[float], seconds: float, rounds: int
) -> tuple[dict[str, list[float]], dict[str, list[float]], _Latencies]:
    """Throughput by engine, its processor time, and milliseconds to the verdict.

    Returns:
        By engine: uploads a second; milliseconds of one core an upload. By engine and rate: the
        latencies.
    """
    through: dict[str, list[float]] = defaultdict(list)
    costs: dict[str, list[float]] = defaultdict(list)
    spent: _Latencies = defaultdict(list)
    for number in range(rounds):
        through[_BARE].append(plain(count))
        with looping("--loop", "trivial", warm="warm") as (platform, pid):
            platform.throughput(warm, "first")
            before = processor_seconds([pid])
            through[_LOOP].append(platform.throughput(count, "burst"))
            costs[_LOOP].append((processor_seconds([pid]) - before) * 1000 / count)
        print(f"{_BARE}: {through[_BARE][-1]:,.0f}; {_LOOP}: {through[_LOOP][-1]:,.0f} uploads/s")
        for name, on in (("Prism", None), ("Flink", flink)):
            with running(Given(), on) as job:
                job.platform.throughput(warm, "first")
                for rate in rates:
                    made = job.platform.latencies(rate, round(rate * seconds), f"steady{rate:g}")
                    spent[name, rate] += made
                before = processor_seconds(job.processes)
                through[name].append(job.platform.throughput(count, f"burst{number}"))
                costs[name].append((processor_seconds(job.processes) - before) * 1000 / count)
            told = f"{through[name][-1]:,.0f} uploads/s, {costs[name][-1]:.2f} ms each"
            print(f"{name}: {told}", flush=True)
    return dict(through), dict(costs), dict(spent)


def _throughputs(
    through: Mapping[str, Sequence[float]], costs: Mapping[str, Sequence[float]]
) -> str:
    peers = [statistics.median(through[name]) for name in (_BARE, _LOOP)]
    rows = []
    for name in (_BARE, _LOOP, "Prism", "Flink"):
        found = statistics.median(through[name])
        cost = f"{statistics.median(costs[name]):.1f}" if name in costs else ""
        ratios = [f"{found / peer:.2f}" for peer in peers]
        rows.append([name, f"{found:,.0f}", *ratios, cost])
    head = ["engine", "uploads/s", f"of the {_BARE}", f"of the {_LOOP}"]
    return table([*head, "processor an upload, ms"], rows)


def _latencies(spent: _Latencies, rates: Sequence[float]) -> str:
    rows = []
    for rate in rates:
        prism, flink = sorted(spent["Prism", rate]), sorted(spent["Flink", rate])
        p50 = [statistics.median(one) for one in (prism, flink)]
        p99 = [one[min(len(one) - 1, int(len(one) * 0.99))] for one in (prism, flink)]
        rows.append(
            [
                f"{rate:g}",
                *(f"{one:,.0f}" for one in (*p50, *p99)),
                f"{p50[1] / p50[0]:.2f}",
                f"{p99[1] / p99[0]:.2f}",
            ]
        )
    head = ["uploads/s", "p50 Prism, ms", "p50 Flink, ms", "p99 Prism, ms", "p99 Flink, ms"]
    return table([*head, "p50 ratio", "p99 ratio"], rows)


def main() -> None:
    """Run the measurement."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--uploads", type=int, default=4000, help="of a burst")
    parser.add_argument(
        "--warm", type=int, default=16000, help="uploads before, in which Java compiles"
    )
    parser.add_argument("--rates", type=float, nargs="+", default=[20.0, 200.0], metavar="R")
    parser.add_argument("--seconds", type=float, default=15.0, help="how long at each rate")
    parser.add_argument("--rounds", type=int, default=2, help="how often each engine is started")
    parser.add_argument("--note", default="", help="a sentence about the machine, for the page")
    parser.add_argument("--dry-run", action="store_true", help="do not write the page")
    args = parser.parse_args()
    with cluster() as flink:
        through, costs, spent = measure(
            flink, args.warm, args.uploads, args.rates, args.seconds, args.rounds
        )
    made = f"{_throughputs(through, costs)}\n\n{_latencies(spent, args.rates)}"
    print(made)
    if args.dry_run:
        return
    write_section(
        "flink-engines",
        f"""## Flink beside Prism

`python -m benchmarks.flink.engines`, on {machine()}. {args.note}

`quorum stream` with three trivial detectors over the Pub/Sub emulator, on Prism and on a Flink
cluster of one TaskManager with one slot, in turn, {args.rounds} rounds. The plain loop has the same
features and decisions, in one process and thread, and neither streams nor engine; at the broker it
pulls the same uploads from the emulator, publishes the same predictions and verdicts, and
acknowledges. After {args.warm:,} uploads: medians of bursts of {args.uploads:,}, and from
publication to the verdict at a steady rate for {args.seconds:g} s a round. Processor time is that
of all processes of the job in a burst, without the broker.

{made}
""",
    )


if __name__ == "__main__":
    main()
