"""Benchmark of a reviewer's day: 400 cases, 30 % of them in waves, without and with groups.

python -m benchmarks.desk_day
python -m benchmarks.desk_day --cases 400 --reading 15 --glance 1 --key 1

A scripted reviewer works through the same queue twice, over HTTP: case by case, and deciding each
wave together when its first case comes. Every case is decided once, as its text deserves. What the
console answers is measured; how long a person reads is not, and is given: seconds to read a case's
page, to look at a row of a group, and to press a key.
"""

from __future__ import annotations

import argparse
import random
import re
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from fastapi.testclient import TestClient
from sqlalchemy import select

from benchmarks.console import PASSWORD, WORDS
from quorum.aggregator.policy.policy import load_policy
from quorum.apps.console.accounts.access import Role, create_user
from quorum.apps.console.app import create_console
from quorum.apps.console.desk import tasks
from quorum.apps.console.settings import ConsoleSettings
from quorum.core.messages import Action, Review, Upload, Verdict, digest, now
from quorum.store.ledger import Ledger
from quorum.store.ledger.console_schema import decisions

#: Shares of the cases in waves that each wave has.
_WAVES = (0.5, 0.25, 0.15, 0.1)


@dataclass
class Seconds:
    """How long a person takes; given, not measured."""

    reading: float
    glance: float
    key: float


@dataclass
class Day:
    """What a reviewer's day took.

    Attributes:
        decided: Cases decided.
        pages: Pages of a case that were read.
        rows: Rows of groups that were looked at.
        keys: Keys pressed.
        server: Seconds that the console took to answer.
    """

    decided: int = 0
    pages: int = 0
    rows: int = 0
    keys: int = 0
    server: float = 0.0

    def seconds(self, person: Seconds) -> float:
        """All of it, as one person would take it."""
        read = self.pages * person.reading + self.rows * person.glance + self.keys * person.key
        return read + self.server


class _Nowhere:
    """Reviews that go nowhere: what happens behind the console is not measured."""

    name = "nowhere"

    def publish(self, reviews: Sequence[Review]) -> None:
        """Take reviews."""


def fill(ledger: Ledger, count: int, share: float) -> set[str]:
    """Record the cases of the day in an order of chance; returns those in waves."""
    chance = random.Random(18)
    in_waves = int(count * share)
    sizes = [int(in_waves * part) for part in _WAVES]
    sizes[0] += in_waves - sum(sizes)
    texts = [" ".join(chance.choices(WORDS, k=25)) for _ in sizes]
    titles = [
        f"{text} {chance.choice(WORDS)} {number}"
        for text, size in zip(texts, sizes, strict=True)
        for number in range(size)
    ]
    kinds = [True] * len(titles) + [False] * (count - len(titles))
    titles += [" ".join(chance.choices(WORDS, k=25)) for _ in range(count - len(titles))]
    order = list(range(count))
    chance.shuffle(order)
    waved = set()
    for number, index in enumerate(order):
        at = now() - timedelta(seconds=10 * (count - number))
        upload = Upload(
            id=f"day-{number}",
            uploader=f"by-{index}",
            title=titles[index],
            published_at=at,
        )
        verdict = Verdict(
            id=digest("verdict", upload.id),
            upload_id=upload.id,
            action=Action.REVIEW,
            revision=1,
            policy_version="day@1",
            rule="spam-unclear",
            category="spam",
            reasons=("It may be spam.",),
            decided_by="policy",
            at=at,
            latency=0.5,
        )
        ledger.record([upload, verdict])
        if kinds[index]:
            waved.add(upload.id)
    tasks.sync(ledger)
    return waved


def work(client: TestClient, waved: set[str], *, groups: bool) -> Day:
    """Decide all cases of the queue; a case in a wave is removed, any other allowed."""
    day = Day()

    def timed(method: str, url: str, **more: object) -> str:
        started = time.perf_counter()
        answer = client.request(method, url, **more)  # type: ignore[arg-type]
        day.server += time.perf_counter() - started
        assert answer.status_code == 200, (url, answer.status_code, answer.text[:500])
        return answer.text

    csrf = re.findall(r'name="csrf" value="([^"]+)"', timed("GET", "/queue"))[0]
    day.keys += 1
    page = timed("POST", "/next", data={"csrf": csrf})
    while task := re.search(r'name="task" value="([^"]+)"', page):
        day.pages += 1
        upload = re.search(r'name="upload" value="([^"]+)"', page)
        assert upload is not None
        if groups and upload[1] in waved:
            listed = timed("GET", f"/case/alike?upload={upload[1]}")
            if f"by=text&amp;of={upload[1]}" in listed:
                day.keys += 3
                group = timed("GET", f"/group?by=text&of={upload[1]}&all=1")
                chosen = re.findall(r'name="task" value="([^"]+)" checked', group)
                day.rows += len(chosen)
                day.decided += len(chosen)
                form = {"csrf": csrf, "by": "text", "action": "remove", "category": "spam"}
                timed("POST", "/group/decide", data={**form, "task": chosen})
                page = timed("POST", "/next", data={"csrf": csrf})
                continue
        day.keys += 1
        day.decided += 1
        action = "remove" if upload[1] in waved else "allow"
        form = {"csrf": csrf, "task": task[1], "upload": upload[1], "action": action}
        page = timed("POST", "/decide", data={**form, "category": "spam", "note": ""})
    return day


def measure(count: int, share: float, *, groups: bool) -> Day:
    """One day in a ledger of its own."""
    with (
        tempfile.TemporaryDirectory() as folder,
        Ledger(f"sqlite:///{Path(folder)}/day.db", create=True) as ledger,
    ):
        create_user(ledger, "bench", Role.REVIEWER, PASSWORD, "benchmark")
        waved = fill(ledger, count, share)
        settings = ConsoleSettings(
            hosts=("localhost",), golden_rate=0, double_rate=0, undo=timedelta(0)
        )
        app = create_console(ledger, load_policy("balanced"), _Nowhere(), settings)
        with TestClient(app, base_url="http://localhost") as client:
            client.post("/login", data={"name": "bench", "password": PASSWORD})
            day = work(client, waved, groups=groups)
        made = ledger.transact(
            lambda c: c.execute(select(decisions.c.upload_id, decisions.c.action)).all()
        )
        assert len(made) == len({row.upload_id for row in made}) == count == day.decided
        assert {row.upload_id for row in made if row.action == "remove"} == waved
        return day


def main() -> None:
    """Measure both days and print them with their ratio."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--cases", type=int, default=400)
    parser.add_argument("--share", type=float, default=0.3, help="share of the cases in waves")
    parser.add_argument("--reading", type=float, default=15, help="seconds to read a case")
    parser.add_argument("--glance", type=float, default=1, help="seconds to look at a row")
    parser.add_argument("--key", type=float, default=1, help="seconds to press a key")
    given = parser.parse_args()
    person = Seconds(given.reading, given.glance, given.key)
    print("| | decided | cases read | rows seen | keys | console | in all | decisions a minute |")
    print("|---|---:|---:|---:|---:|---:|---:|---:|")
    rates = []
    for name, groups in (("case by case", False), ("with groups", True)):
        day = measure(given.cases, given.share, groups=groups)
        took = day.seconds(person)
        rates.append(60 * day.decided / took)
        print(
            f"| {name} | {day.decided} | {day.pages} | {day.rows} | {day.keys} | "
            f"{day.server:.0f} s | {took / 60:.0f} min | {rates[-1]:.2f} |",
            flush=True,
        )
    print(f"\nratio: {rates[1] / rates[0]:.2f}")


if __name__ == "__main__":
    main()
