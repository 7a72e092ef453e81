"""That the ways which ``benchmarks.batch`` compares do the same work, and can still be run."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import closing
from importlib.util import find_spec
from pathlib import Path

import pytest

pytest.importorskip("fastapi", reason="needs quorum-moderation[web]")

from benchmarks.batch import TRIVIAL_POLICY, WAYS, fill, trivial
from benchmarks.http_load import Clients
from benchmarks.texts import uploads
from benchmarks.web import offer, saturate
from quorum.apps.web.app import create_app
from quorum.apps.web.settings import ServiceLimits
from quorum.store.ledger import Ledger
from tests.apps.web.serving import run


def test_each_way_of_a_batch_makes_the_same_verdicts(tmp_path: Path) -> None:
    made: dict[str, dict[str, str]] = {}
    for way, work in WAYS.items():
        if way == "pandas" and find_spec("pandas") is None:
            continue
        path = tmp_path / f"{way}.db"
        fill(path, 300)
        assert work("trivial", path) == 300
        if way == "quorum batch":
            with Ledger(f"sqlite:///{path}") as ledger:
                made[way] = {row.upload_id: str(row.action) for row in ledger.find(limit=500)}
        else:
            with closing(sqlite3.connect(f"{path}.out")) as out:
                made[way] = dict(out.execute("SELECT id, action FROM verdicts"))
    first, *others = made.values()
    assert len(first) == 300 and len(set(first.values())) > 1
    assert others and all(other == first for other in others)


def test_the_load_generator_counts_each_answer() -> None:
    some, _ = uploads(400)
    app = create_app(TRIVIAL_POLICY, trivial(), limits=ServiceLimits(pending=2))

    async def load(port: int) -> None:
        async with Clients(port) as clients:
            assert (await clients.get("/ready")).status == 200
            latencies, codes, _ = await offer(clients, some, rate=2000, seconds=0.1)
            assert len(latencies) == codes[200] > 0
            assert codes[429] > 0
            assert set(codes) == {200, 429}
            latencies, codes, _ = await saturate(clients, some * 200, 0.1)
            assert len(latencies) == codes[200] > 0

    with run(app) as url:
        asyncio.run(load(int(url.rpartition(":")[2])))
