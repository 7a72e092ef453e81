"""Requests a second and latency of the web service, beside the bare models in its process.

The service runs as users run it, in a process of its own, with the real detectors and a SQLite
ledger, on loopback. First the models alone, in that process: in batches (throughput) and one
upload at a time (latency). Then requests at rising rates that do not wait for the answers, as
many clients together would send them, up to beyond what can be served.

    python -m benchmarks.web [--seconds N]
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from benchmarks.document import machine, table, write_section
from benchmarks.http_load import Clients
from benchmarks.texts import uploads
from quorum.core.messages import Upload

#: Load as a share of what the bare models do in batches.
SHARES = (0.25, 0.5, 0.75, 1.0, 2.0, 4.0)

SATURATED = "128 clients, closed loop"


async def offer(
    clients: Clients, some: list[Upload], rate: float, seconds: float
) -> tuple[list[float], Counter[int], float]:
    """Send at a rate for a time: latencies of the answered, answers by status, seconds in all."""
    chance = random.Random(7)
    latencies: list[float] = []
    codes: Counter[int] = Counter()
    without: list[str] = []

    async def one(upload: Upload) -> None:
        started = time.perf_counter()
        try:
            answer = await clients.post("/v1/moderate", upload.to_bytes())
        except OSError as error:
            codes[0] += 1
            without.append(type(error).__name__)
            return
        codes[answer.status] += 1
        if answer.status == 200:
            latencies.append(time.perf_counter() - started)
        elif answer.status == 429 and "retry-after" not in answer.headers:
            without.append("429 without retry-after")

    began = time.perf_counter()
    at = began
    tasks = []
    for upload in some:
        at += chance.expovariate(rate)
        if at - began > seconds:
            break
        await asyncio.sleep(max(0.0, at - time.perf_counter()))
        tasks.append(asyncio.create_task(one(upload)))
    await asyncio.gather(*tasks)
    assert not without, Counter(without)
    return latencies, codes, time.perf_counter() - began


async def saturate(
    clients: Clients, some: list[Upload], seconds: float
) -> tuple[list[float], Counter[int], float]:
    """128 clients, each with its next request as soon as it has its answer."""
    latencies: list[float] = []
    codes: Counter[int] = Counter()
    rest = iter(some)
    end = time.perf_counter() + seconds

    async def one() -> None:
        while time.perf_counter() < end:
            upload = next(rest)
            started = time.perf_counter()
            answer = await clients.post("/v1/moderate", upload.to_bytes())
            codes[answer.status] += 1
            if answer.status == 200:
                latencies.append(time.perf_counter() - started)

    began = time.perf_counter()
    await asyncio.gather(*(one() for _ in range(128)))
    return latencies, codes, time.perf_counter() - began


Made = tuple[list[float], Counter[int], float]


def cpu_seconds(pid: int) -> float:
    """The processor time that a process has used so far (Linux)."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Load:
    """What came of one load.

    Attributes:
        name: Which load.
        made: What was answered.
        cpu: Processor seconds of the service.
    """

    name: str
    made: Made
    cpu: float

    @property
    def rate(self) -> float:
        """Answers with a verdict, a second."""
        return len(self.made[0]) / self.made[2]

    def percentile(self, which: int) -> float:
        """Of the latencies of such answers, in seconds."""
        latencies = self.made[0]
        return statistics.quantiles(latencies, n=100)[which - 1] if len(latencies) > 1 else 0.0

    def row(self, bare: dict[str, float]) -> list[str]:
        """One line of the table."""
        codes = self.made[1]
        each = self.cpu / max(1, len(self.made[0]))
        return [
            self.name,
            f"{self.rate:.1f}",
            f"{self.rate / bare['rate']:.2f}",
            f"{bare['cpu'] / each:.2f}" if each else "–",
            f"{1000 * self.percentile(50):.0f}",
            f"{1000 * self.percentile(99):.0f}",
            f"{codes[200]:,}",
            f"{codes[429]:,}",
            f"{sum(codes.values()) - codes[200] - codes[429]:,}",
        ]


async def ready(clients: Clients, seconds: float = 30.0) -> None:
    """Wait for the service, whose port is taken before it listens.

    Raises:
        ConnectionError: If it does not answer.
    """
    end = time.perf_counter() + seconds
    while True:
        try:
            assert (await clients.get("/ready")).status == 200
        except ConnectionError:
            if time.perf_counter() > end:
                raise
            await asyncio.sleep(0.1)
        else:
            return


async def measure(port: int, bare: dict[str, float], pid: int, seconds: float) -> list[Load]:
    """All loads, one after the other."""
    some, _ = uploads(20_064)
    some, first = some[64:], some[:64]
    loads = []
    async with Clients(port) as clients:
        await ready(clients)
        # The first answers also load what is loaded at first use.
        await asyncio.gather(*(clients.post("/v1/moderate", one.to_bytes()) for one in first))
        asked = [(f"{share:g} x bare, offered", share) for share in SHARES]
        asked += [(SATURATED, 0.0), ("0.5 x bare, after overload", 0.5)]
        for name, share in asked:
            before = cpu_seconds(pid)
            if share:
                made = await offer(clients, some, bare["rate"] * share, seconds)
            else:
                made = await saturate(clients, some, seconds)
            loads.append(Load(name, made, cpu_seconds(pid) - before))
            print(" | ".join(loads[-1].row(bare)), flush=True)
    return loads


def main() -> None:
    """Measure, and write the section."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=15.0, help="for each load")
    parser.add_argument("--dry-run", action="store_true", help="print, and write no page")
    asked = parser.parse_args()
    _, origin = uploads(1)
    with tempfile.TemporaryDirectory() as folder:
        url = f"sqlite:///{Path(folder)}/l.db"
        process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.web_server", url], stdout=subprocess.PIPE, text=True
        )
        try:
            assert process.stdout is not None
            bare = json.loads(process.stdout.readline())
            loads = asyncio.run(measure(bare["port"], bare, process.pid, asked.seconds))
        finally:
            process.terminate()
            process.wait(60)
    by_name = {load.name: load for load in loads}
    refused = sum(load.made[1][429] for load in loads)
    half = by_name["0.5 x bare, offered"].percentile(99)
    head = [
        "load",
        "answered/s",
        "x bare",
        "x bare, CPU",
        "p50, ms",
        "p99, ms",
        "200",
        "429",
        "other",
    ]
    body = f"""## The web service

`python -m benchmarks.web`, on {machine()}.

`quorum serve`'s application with the detectors that ship and a SQLite ledger, on loopback; texts:
{origin}. The bare models are measured in the service's process before it opens, on one thread (the
service makes features on a second one under much load): in batches of 64
(`bare`: {bare["rate"]:.1f} uploads/s), and one upload at a time
(p50 {1000 * bare["p50"]:.0f} ms, p99 {1000 * bare["p99"]:.0f} ms). Then another process sends
requests at rising rates that wait for no answer, {asked.seconds:g} s each, beyond what can be
served, and as clients that wait.
`x bare, CPU` is the models' processor time for an upload by the service's.

{table(head, [load.row(bare) for load in loads])}

Saturated: {by_name[SATURATED].rate / bare["rate"]:.2f} of the bare models. At half of their load
the 99th percentile is {half / bare["p50"]:.1f} times the bare median, and
{half / bare["p99"]:.1f} times the bare 99th percentile. Each of the
{refused:,} refusals (429) carried `retry-after`.
"""
    print(body)
    if not asked.dry_run:
        write_section("web", body)


if __name__ == "__main__":
    main()
