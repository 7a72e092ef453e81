"""Benchmark of the console's pages: time that passes, and processor time, at 100,000 cases.

python -m benchmarks.console                                  # SQLite
python -m benchmarks.console --database postgresql://...      # an empty database
python -m benchmarks.console --cases 10000
python -m benchmarks.console --only notice                    # pages with this in their name
"""

from __future__ import annotations

import argparse
import random
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from itertools import accumulate
from pathlib import Path

from fastapi import FastAPI
from fastapi.testclient import TestClient
from sqlalchemy import select

from benchmarks import console_desk
from quorum.aggregator.policy.policy import load_policy
from quorum.apps.console.accounts.access import Role, create_user
from quorum.apps.console.app import create_console
from quorum.apps.console.desk import claims, queues, tasks
from quorum.apps.console.desk.decisions import decide
from quorum.apps.console.desk.outbox import publish_due
from quorum.apps.console.desk.publishing import LedgerReviewPublisher
from quorum.apps.console.desk.trends import WINDOWS, TrendCache
from quorum.apps.console.settings import ConsoleSettings
from quorum.core.messages import (
    Action,
    Message,
    Prediction,
    Status,
    Upload,
    UsedPrediction,
    Verdict,
    digest,
    now,
    prediction_id,
)
from quorum.store.ledger import Ledger
from quorum.store.ledger.console_schema import tasks as task_table

_SYLLABLES = tuple(a + b + c for a in "bdfgklmnprstvz" for b in "aeiou" for c in ("", "n"))
PASSWORD = "benchmark password"
DETECTORS = ("spam", "violence", "nsfw", "copyright")
PAGES = {
    "queue": "/queue",
    "queue by category": "/queue?category=violence&severity=3",
    "queue by age": "/queue?order=age",
    "queue, page 20": "/queue?page=20",
    "queue rows": "/queue/rows",
    "case": "/case?upload=up-{n}",
    "case status": "/case/status?upload=up-{n}",
    "case, its groups": "/case/alike?upload=up-{n}",
    "group by text": "/group?by=text&of=up-{n}",
    "group by a large uploader": "/group?by=uploader&of=by-1",
    "group, 1,000 rows": "/group?by=uploader&of=by-1&all=1",
    "group of the queue": "/group?by=queue&category=violence",
    "largest groups": "/groups/largest",
    "overview": "/overview",
    "overview, 7 days": "/overview?window=7d",
    "overview, 30 days": "/overview?window=30d",
    "search, newest": "/search",
    "search, a common word": "/search?text=harbour",
    "search, a word": "/search?text={word}",
    "search, a phrase": "/search?text=%22harbour+lights%22",
    "search, a prefix": "/search?text=har*",
    "search, an absent word": "/search?text=up{n}x",
    "search, a common word by one uploader": "/search?text=harbour&uploader=by-{u}",
    "search by uploader": "/search?uploader=by-{u}",
    "search by upload": "/search?upload=up-{n}",
    "search by rule": "/search?rule=violence-likely&action=review",
    "search by rule and uploader": "/search?rule=violence-likely&uploader=by-1&action=remove",
    "search by label": "/search?label=violence/fight",
    "search by label and action": "/search?label=violence&action=remove",
    "quality": "/quality",
    "policy": "/policy",
    "audit": "/audit",
    "users": "/users",
}
COMMON = ("harbour", "lights", "film", "song", "goal", "cat", "street", "drum", "night", "river")
#: The size of an everyday vocabulary; frequencies follow Zipf's law.
WORDS = (*COMMON, *(first + second for first in _SYLLABLES for second in _SYLLABLES))


def messages(count: int) -> Iterator[list[Message]]:
    """Yield batches of synthetic cases; only their size and number matter here."""
    chance = random.Random(3)
    weights = list(accumulate(1 / (rank + 2) for rank in range(len(WORDS))))
    end = now()

    def words(how_many: int) -> list[str]:
        return chance.choices(WORDS, cum_weights=weights, k=how_many)

    batch: list[Message] = []
    for number in range(count):
        at = end - timedelta(seconds=(count - number) * 6)
        upload = Upload(
            id=f"up-{number}",
            uploader=f"by-{int(chance.paretovariate(0.9)) % 5000}",
            title=" ".join(words(6)),
            description=" ".join(words(40)),
            tags=tuple(words(3)),
            comments=(" ".join(words(8)),),
            published_at=at,
        )
        action = chance.choices(list(Action), (70, 10, 15, 5))[0]
        category = None if action is Action.ALLOW else chance.choice(["violence", "spam"])
        used = []
        for name in DETECTORS:
            labels = {f"{name}/{kind}": round(chance.random(), 3) for kind in ("mild", "strong")}
            if name == "violence" and number % 50 == 0:
                labels["violence/fight"] = 0.5
            fields = {
                "id": prediction_id(upload.id, name, "v1"),
                "detector": name,
                "version": "v1",
                "status": Status.SCORED,
                "score": round(chance.random(), 3),
                "labels": labels,
            }
            used.append(UsedPrediction(**fields))
            batch.append(Prediction(upload_id=upload.id, at=at, **fields))
        verdict = Verdict(
            id=digest("verdict", upload.id),
            upload_id=upload.id,
            action=action,
            revision=1,
            policy_version="bench@1",
            rule="nothing-found" if category is None else f"{category}-likely",
            category=category,
            reasons=("A synthetic reason.",),
            predictions=tuple(used),
            decided_by="policy",
            at=at + timedelta(seconds=0.5),
            latency=0.5,
        )
        batch += [upload, verdict]
        if len(batch) >= 6000:
            yield batch
            batch = []
    yield batch


def review(ledger: Ledger, count: int) -> None:
    """Decide cases as synthetic reviewers, for the pages that measure them."""
    for number in range(count):
        name = f"reviewer-{number % 5}"
        task = claims.claim_next(ledger, queues.Queue(order="age"), name)
        if task is None:
            return
        action = Action.REMOVE if number % 3 else Action.ALLOW
        decide(ledger, task.id, name, action, task.category, "", timedelta(0))
        if number % 50 == 49:
            publish_due(ledger, lambda _: None, double_rate=0.2)


@dataclass(frozen=True)
class Times:
    """What requests of one page took, in ms: the time that passed, sorted, and processor time."""

    took: list[float]
    processor: float

    def row(self, name: str) -> str:
        """The line of the table."""
        p99 = self.took[min(int(len(self.took) * 0.99), len(self.took) - 1)]
        median = self.took[len(self.took) // 2]
        return f"| {name} | {self.processor:.0f} ms | {median:.0f} ms | {p99:.0f} ms |"


def processor_time(postmaster: int | None) -> float:
    """Seconds of this process, which serves the pages, and of the database's server."""
    return time.process_time() + console_desk.processor_of(postmaster)


def measure(
    client: TestClient, address: str, count: int, rounds: int, postmaster: int | None
) -> Times:
    """Time one page, after one request to warm up."""
    chance = random.Random(5)
    found = []
    used = 0.0
    for index in range(rounds + 1):
        url = address.format(
            n=chance.randrange(count),
            u=chance.randrange(5000),
            word=chance.choice(WORDS[: len(WORDS) // 2]),
            few=chance.randrange(1, 20 if count >= 10_000 else 3),
            notice=console_desk.notice_of(chance.randrange(min(count, console_desk.NOTICES))),
        )
        if index == 1:
            used = processor_time(postmaster)
        started = time.perf_counter()
        answer = client.get(url)
        taken = time.perf_counter() - started
        assert answer.status_code == 200, (url, answer.status_code)
        if index:
            found.append(taken * 1000)
    spent = processor_time(postmaster) - used
    return Times(sorted(found), 1000 * spent / rounds)


def first_requests(
    app: FastAPI, client: TestClient, rounds: int, postmaster: int | None
) -> dict[str, Times]:
    """The times in ms of the first requests for a window that nobody looked at."""
    found = {}
    for window in WINDOWS:
        took = []
        used = processor_time(postmaster)
        for _ in range(rounds):
            app.state.overview_cache.trends = TrendCache(app.state.console.ledger)
            started = time.perf_counter()
            assert client.get(f"/overview?window={window}").status_code == 200
            took.append((time.perf_counter() - started) * 1000)
        spent = 1000 * (processor_time(postmaster) - used) / rounds
        found[f"overview, {window}, first request"] = Times(sorted(took), spent)
    return found


def prepare(ledger: Ledger, count: int) -> int:
    """Create the cases unless an earlier run left them, and count the open ones."""
    if ledger.stats()["cases"] < count:
        create_user(ledger, "bench", Role.ADMIN, PASSWORD, "benchmark")
        for batch in messages(count):
            ledger.record(batch)
        tasks.sync(ledger)
        review(ledger, count // 50)
    console_desk.fill_desk(ledger, count)
    return sum(count for count, _ in queues.open_counts(ledger).values())


def settled(app: FastAPI, ledger: Ledger, meanings: int) -> None:
    """Wait until the console has filed all tasks and read all vectors."""
    ends = time.monotonic() + 1800
    unfiled = select(task_table.c.id).where(
        task_table.c.state == "open", task_table.c.queue.is_(None)
    )
    while time.monotonic() < ends:
        filed = ledger.transact(lambda c: c.execute(unfiled.limit(1)).first()) is None
        if filed and app.state.meanings.size >= meanings:
            return
        time.sleep(1)
    msg = "the console is not ready after half an hour"
    raise TimeoutError(msg)


def main() -> None:
    """Measure all pages and print a table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--database", help="an empty database, or one left by an earlier run")
    parser.add_argument("--cases", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=200)
    parser.add_argument("--postmaster", type=int, help="the process of PostgreSQL's server")
    parser.add_argument("--only", default="", help="only pages whose name has this in it")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        url = given.database or f"sqlite:///{Path(folder)}/bench.db"
        with Ledger(url, create=True) as ledger:
            waiting = prepare(ledger, given.cases)
            print(f"{ledger.name.split(':')[0]}: {given.cases:,} cases, {waiting:,} open\n")
            policy = load_policy("balanced")
            meanings = min(given.cases, console_desk.MEANINGS)
            settings = ConsoleSettings(
                hosts=("localhost",), desk=console_desk.DESK, meanings=meanings, quiet=None
            )
            app = create_console(ledger, policy, LedgerReviewPublisher(ledger, policy), settings)
            with TestClient(app, base_url="http://localhost") as client:
                client.post("/login", data={"name": "bench", "password": PASSWORD})
                settled(app, ledger, meanings)
                print("| page | processor time | median | p99 |\n|---|---:|---:|---:|")
                pages = {
                    name: partial(
                        measure, client, address, given.cases, given.rounds, given.postmaster
                    )
                    for name, address in (PAGES | console_desk.PAGES).items()
                    if given.only in name
                }
                timed = ((name, work()) for name, work in pages.items())
                for name, times in timed:
                    print(times.row(name), flush=True)
                if given.only in "overview":
                    client.get("/overview")
                    rounds = min(given.rounds, 20)
                    for name, times in first_requests(
                        app, client, rounds, given.postmaster
                    ).items():
                        print(times.row(name), flush=True)


if __name__ == "__main__":
    main()
