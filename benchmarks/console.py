"""How fast the console's pages answer: median and p99 of each, at 100,000 cases.

python -m benchmarks.console                                  # SQLite
python -m benchmarks.console --database postgresql://...      # an empty database
python -m benchmarks.console --cases 10000
"""

from __future__ import annotations

import argparse
import random
import tempfile
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

from fastapi.testclient import TestClient

from aggregator.policy import load_policy
from quorum.console import tasks
from quorum.console.access import Role, create_user
from quorum.console.app import create_console
from quorum.console.publishing import LedgerReviews
from quorum.console.settings import ConsoleSettings
from quorum.ledger import Ledger
from quorum.messages import (
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

PASSWORD = "benchmark password"
DETECTORS = ("spam", "violence", "nsfw", "copyright")
PAGES = {
    "queue": "/queue",
    "queue by category": "/queue?category=violence&severity=3",
    "queue by age": "/queue?order=age",
    "queue, page 20": "/queue?page=20",
    "rows alone": "/queue/rows",
    "case": "/case?upload=up-{n}",
    "case status": "/case/status?upload=up-{n}",
    "overview": "/overview",
    "search, newest": "/search",
    "search by word": "/search?text=harbour",
    "search, a rare word": "/search?text=up-{n}x",
    "search by uploader": "/search?uploader=by-7",
    "search by rule": "/search?rule=violence-likely&action=review",
    "quality": "/quality",
    "search by label": "/search?label=violence/fight",
}
WORDS = ("harbour", "lights", "film", "song", "goal", "cat", "street", "drum", "night", "river")


def messages(count: int) -> Iterator[list[Message]]:
    """Made-up cases: only their shape and number matter here."""
    chance = random.Random(3)
    end = now()
    batch: list[Message] = []
    for number in range(count):
        at = end - timedelta(seconds=(count - number) * 6)
        upload = Upload(
            id=f"up-{number}",
            uploader=f"by-{int(chance.paretovariate(0.9)) % 5000}",
            title=" ".join(chance.choices(WORDS, k=6)),
            description=" ".join(chance.choices(WORDS, k=40)),
            published_at=at,
        )
        action = chance.choices(list(Action), (70, 10, 15, 5))[0]
        category = None if action is Action.ALLOW else chance.choice(["violence", "spam"])
        used = []
        for name in DETECTORS:
            labels = {"violence/fight": 0.5} if name == "violence" and number % 50 == 0 else {}
            said = {
                "id": prediction_id(upload.id, name, "v1"),
                "detector": name,
                "version": "v1",
                "status": Status.SCORED,
                "score": round(chance.random(), 3),
                "labels": labels,
            }
            used.append(UsedPrediction(**said))
            batch.append(Prediction(upload_id=upload.id, at=at, **said))
        verdict = Verdict(
            id=digest("verdict", upload.id),
            upload_id=upload.id,
            action=action,
            revision=1,
            policy_version="bench@1",
            rule="nothing-found" if category is None else f"{category}-likely",
            category=category,
            reasons=("A made-up reason.",),
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


def measure(client: TestClient, address: str, count: int, rounds: int) -> list[float]:
    """Milliseconds of each request, after one that is not counted."""
    chance = random.Random(5)
    found = []
    for index in range(rounds + 1):
        url = address.format(n=chance.randrange(count))
        started = time.perf_counter()
        answer = client.get(url)
        taken = time.perf_counter() - started
        assert answer.status_code == 200, (url, answer.status_code)
        if index:
            found.append(taken * 1000)
    return sorted(found)


def main() -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--database")
    parser.add_argument("--cases", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=50)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        url = given.database or f"sqlite:///{Path(folder)}/bench.db"
        with Ledger(url, create=True) as ledger:
            create_user(ledger, "bench", Role.ADMIN, PASSWORD, "benchmark")
            for batch in messages(given.cases):
                ledger.record(batch)
            opened, _ = tasks.sync(ledger)
            print(f"{ledger.name.split(':')[0]}: {given.cases:,} cases, {opened:,} wait\n")
            policy = load_policy("balanced")
            settings = ConsoleSettings(hosts=("localhost",))
            app = create_console(ledger, policy, LedgerReviews(ledger, policy), settings)
            with TestClient(app, base_url="http://localhost") as client:
                client.post("/login", data={"name": "bench", "password": PASSWORD})
                print("| page | median | p99 |\n|---|---:|---:|")
                for name, address in PAGES.items():
                    took = measure(client, address, given.cases, given.rounds)
                    p99 = took[min(int(len(took) * 0.99), len(took) - 1)]
                    print(f"| {name} | {took[len(took) // 2]:.0f} ms | {p99:.0f} ms |", flush=True)


if __name__ == "__main__":
    main()
