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
import platform
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import httpx

from benchmarks.texts import uploads
from quorum.messages import Upload

SERVER = """
import json, statistics, sys, time
from aggregator.policy import load_policy
from benchmarks.texts import uploads
from quorum.ledger import Ledger
from quorum.moderator import Ensemble
from quorum.settings import Settings
from quorum.web.app import create_app
from quorum.web.server import Server, bind
from quorum.web.settings import Limits

ensemble = Ensemble.load(Settings())
some, _ = uploads(600)
members = list(ensemble.members.values())

def bare(batch):
    features = [look.features for look in ensemble.cascade.begin(batch)]
    for member in members:
        member.detector.score(features)

bare(some[:64])
started, spent = time.perf_counter(), time.process_time()
for start in range(0, 576, 64):
    bare(some[start:start + 64])
rate = 576 / (time.perf_counter() - started)
cpu = (time.process_time() - spent) / 576
times = []
for one in some[:150]:
    started = time.perf_counter()
    bare([one])
    times.append(time.perf_counter() - started)
taken = bind("127.0.0.1", 0)
told = {"port": taken.getsockname()[1], "rate": rate, "cpu": cpu, "p50": statistics.median(times),
        "p99": statistics.quantiles(times, n=100)[98]}
print(json.dumps(told), flush=True)
ledger = Ledger(sys.argv[1], create=True)
app = create_app(load_policy("balanced"), ensemble, ledger=ledger, limits=Limits(pending=256))
Server(app).run(sockets=[taken])
"""

#: Load as a share of what the bare models do in batches.
SHARES = (0.25, 0.5, 0.75, 1.0, 2.0)


async def offer(
    client: httpx.AsyncClient, some: list[Upload], rate: float, seconds: float
) -> tuple[list[float], Counter[int], float]:
    """Send at a rate for a time: latencies of the answered, answers by status, seconds in all."""
    chance = random.Random(7)
    latencies: list[float] = []
    codes: Counter[int] = Counter()
    without: list[str] = []

    async def one(upload: Upload) -> None:
        started = time.perf_counter()
        try:
            answer = await client.post(
                "/v1/moderate",
                content=upload.to_bytes(),
                headers={"content-type": "application/json"},
            )
        except httpx.HTTPError as error:
            codes[0] += 1
            without.append(type(error).__name__)
            return
        codes[answer.status_code] += 1
        if answer.status_code == 200:
            latencies.append(time.perf_counter() - started)
        elif answer.status_code == 429 and "retry-after" not in answer.headers:
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
    client: httpx.AsyncClient, some: list[Upload], seconds: float
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
            answer = await client.post(
                "/v1/moderate",
                content=upload.to_bytes(),
                headers={"content-type": "application/json"},
            )
            codes[answer.status_code] += 1
            latencies.append(time.perf_counter() - started)

    began = time.perf_counter()
    await asyncio.gather(*(one() for _ in range(128)))
    return latencies, codes, time.perf_counter() - began


Made = tuple[list[float], Counter[int], float]


def cpu_seconds(pid: int) -> float:
    """The processor time that a process has used so far (Linux)."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def row(name: str, made: Made, bare: dict[str, float], cpu: float) -> str:
    """One line of the table."""
    latencies, codes, seconds = made
    rate = len(latencies) / seconds
    each = cpu / max(1, len(latencies))
    cuts = statistics.quantiles(latencies, n=100) if len(latencies) > 1 else [0.0] * 99
    return (
        f"| {name} | {rate:.1f} | {rate / bare['rate']:.2f} | {bare['cpu'] / each:.2f} | "
        f"{1000 * cuts[49]:.0f} | {1000 * cuts[98]:.0f} | {codes[200]} | {codes[429]} | "
        f"{sum(codes.values()) - codes[200] - codes[429]} |"
    )


async def measure(url: str, bare: dict[str, float], pid: int, seconds: float) -> list[str]:
    """A line for each load."""
    some, _ = uploads(20_000)
    lines = []
    limits = httpx.Limits(max_connections=600, max_keepalive_connections=600)
    async with httpx.AsyncClient(base_url=url, timeout=120, limits=limits) as client:
        (await client.get("/ready")).raise_for_status()
        loads = [(f"{share:g} x bare, offered", share) for share in SHARES]
        loads += [("128 clients, closed loop", 0.0), ("0.5 x bare, after overload", 0.5)]
        for name, share in loads:
            before = cpu_seconds(pid)
            if share:
                made = await offer(client, some, bare["rate"] * share, seconds)
            else:
                made = await saturate(client, some, seconds)
            lines.append(row(name, made, bare, cpu_seconds(pid) - before))
    return lines


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=15.0, help="for each load")
    seconds = parser.parse_args().seconds
    _, origin = uploads(1)
    with tempfile.TemporaryDirectory() as folder:
        url = f"sqlite:///{Path(folder)}/l.db"
        process = subprocess.Popen(
            [sys.executable, "-c", SERVER, url], stdout=subprocess.PIPE, text=True
        )
        try:
            assert process.stdout is not None
            told = json.loads(process.stdout.readline())
            url = f"http://127.0.0.1:{told['port']}"
            lines = asyncio.run(measure(url, told, process.pid, seconds))
        finally:
            process.terminate()
            process.wait(60)
    print(f"Texts: {origin}. Machine: {platform.machine()}, Python {platform.python_version()}.")
    print(
        f"Bare models: {told['rate']:.1f} uploads/s in batches of 64; one at a time p50 "
        f"{1000 * told['p50']:.0f} ms, p99 {1000 * told['p99']:.0f} ms."
    )
    print("`x bare, CPU` is the models' processor time for an upload by the service's: what others")
    print("on the machine do, counts less there.")
    print("| load | answered/s | x bare | x bare, CPU | p50 ms | p99 ms | 200 | 429 | other |")
    print("|---|---:|---:|---:|---:|---:|---:|---:|---:|")
    print("\n".join(lines))


if __name__ == "__main__":
    main()
