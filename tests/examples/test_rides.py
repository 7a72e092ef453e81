from __future__ import annotations

import json
import random
import sqlite3
from collections import Counter
from pathlib import Path

import pytest

from examples.rides.churn import fill, score_table
from examples.rides.estimators import WHATS, train
from examples.rides.made import rides, truth
from examples.rides.messages import Estimate
from examples.rides.stream import run


@pytest.mark.parametrize("what", WHATS)
def test_the_models_find_the_formula(what: str) -> None:
    chance = random.Random(1)
    fresh = list(rides(300, seed=99))
    errors = [
        abs(value - truth(ride, chance)[what])
        for ride, value in zip(fresh, train(what).estimate(fresh), strict=True)
    ]
    assert sum(errors) / len(errors) < {"duration": 2.0, "cost": 0.7, "tip": 0.5}[what]


def test_one_event_three_consumers(tmp_path: Path) -> None:
    lines = [ride.to_bytes() for ride in rides(150)]
    lines[3:3] = [b"no json", b'{"id": "x", "kilometres": -1}']
    (tmp_path / "rides.jsonl").write_bytes(b"\n".join(lines))
    out, dead = tmp_path / "estimates.jsonl", tmp_path / "dead.jsonl"
    run(str(tmp_path / "rides.jsonl"), str(out), str(dead))
    made = [Estimate.from_bytes(line) for line in out.read_bytes().splitlines()]
    assert Counter(one.what for one in made) == dict.fromkeys(WHATS, 150)
    assert len({one.event_id() for one in made}) == 450
    assert len(dead.read_bytes().splitlines()) == 2
    by_ride = {(one.ride_id, one.what): one.value for one in made}
    for ride in rides(150):
        for what in WHATS:
            (value,) = train_once(what).estimate([ride])
            assert by_ride[ride.id, what] == pytest.approx(value, abs=0.006)


_TRAINED: dict[str, object] = {}


def train_once(what: str):  # type: ignore[no-untyped-def]
    return _TRAINED.setdefault(what, train(what))


def test_the_same_models_behind_a_request() -> None:
    pytest.importorskip("fastapi", reason="needs quorum-moderation[web]")
    from fastapi.testclient import TestClient

    from examples.rides.serve import create_app

    client = TestClient(create_app())
    (ride,) = rides(1)
    answer = client.post("/v1/estimate", content=ride.to_bytes())
    assert set(answer.json()) == set(WHATS)
    assert answer.json()["cost"] == pytest.approx(train_once("cost").estimate([ride])[0], abs=0.006)
    assert client.post("/v1/estimate", content=b"{").status_code == 422
    assert client.post("/v1/estimate", content=json.dumps({"id": 3})).status_code == 422


def test_a_batch_that_is_stopped_goes_on(tmp_path: Path) -> None:
    path = str(tmp_path / "riders.db")
    fill(path, 1000)
    first = score_table(path, limit=300)
    assert 300 <= first < 1000
    assert score_table(path) == 1000 - first
    assert score_table(path) == 0
    with sqlite3.connect(path) as database:
        database.execute("UPDATE riders SET days_since_last = 400 WHERE id = 'rider-00005'")
    assert score_table(path) == 1
    with sqlite3.connect(path) as database:
        count, high = database.execute("SELECT count(*), max(score) FROM churn").fetchone()
    database.close()
    assert (count, round(high, 3)) == (1000, 1.0)
