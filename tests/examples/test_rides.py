from __future__ import annotations

import json
import random
import shutil
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from examples.rides.churn import read, report, score, train_on
from examples.rides.churn_model import ChurnModel, known_at
from examples.rides.estimators import WHATS, train
from examples.rides.made import BEGIN, month, rides, truth
from examples.rides.messages import Estimate, Ride
from examples.rides.stream import run
from quorum.core.errors import ArtifactError
from quorum.pipeline.batch.windows import Window

LATER = datetime(2026, 2, 2, tzinfo=UTC)


@pytest.mark.parametrize("what", WHATS)
def test_the_models_find_the_formula(what: str) -> None:
    chance = random.Random(1)
    fresh = list(rides(300, seed=99))
    errors = [
        abs(value - truth(ride, chance)[what])
        for ride, value in zip(fresh, train(what).estimate(fresh), strict=True)
    ]
    assert sum(errors) / len(errors) < {"duration": 2.0, "cost": 0.7, "tip": 0.5}[what]


@pytest.mark.long
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


@pytest.fixture(scope="module")
def month_of_rides(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the rides of four weeks, and a model that was trained on them."""
    folder = tmp_path_factory.mktemp("churn")
    (folder / "rides.jsonl").write_bytes(b"\n".join(one.to_bytes() for one in month(2000)))
    train_on(str(folder / "rides.jsonl"), folder / "model")
    return folder


def test_a_batch_that_is_stopped_goes_on(month_of_rides: Path, tmp_path: Path) -> None:
    rides_file, out = tmp_path / "rides.jsonl", tmp_path / "churn.jsonl"
    rides_file.write_bytes((month_of_rides / "rides.jsonl").read_bytes() + b"\nno json\n")
    reference = f"file:{month_of_rides / 'model'}"

    def run_it() -> int:
        dead = str(tmp_path / "dead.jsonl")
        return score(str(rides_file), str(out), dead, reference, Window.MONTHLY)

    # The only month that is over by the last ride ends before it.
    later = Ride(id="later", rider="rider-1", kilometres=1, asked_at=LATER)
    rides_file.write_bytes(rides_file.read_bytes() + later.to_bytes() + b"\n")
    every = run_it()
    end = datetime(2026, 2, 1, tzinfo=UTC)
    assert every == len({ride.rider for ride in month(2000) if ride.asked_at < end}) > 150
    assert len((tmp_path / "dead.jsonl").read_bytes().splitlines()) == 1
    first = out.read_bytes()

    out.write_bytes(first[: len(first) // 3])  # as a killed process left it, in mid-line
    assert 0 < run_it() < every
    assert run_it() == 0
    assert sorted(one.to_bytes() for one in read(str(out))) == sorted(first.splitlines())

    more = Ride(id="more", rider="rider-5", kilometres=1, asked_at=BEGIN)
    rides_file.write_bytes(rides_file.read_bytes() + more.to_bytes() + b"\n")
    assert run_it() == 1
    newest = {one.rider: one for one in read(str(out))}
    assert all(one.version == ChurnModel.open(reference).version for one in newest.values())
    page = report(read(str(out)))
    assert "Riders who may not come back" in page
    assert newest["rider-5"].version in page


def test_the_churn_model_knows_riders_it_was_not_trained_on(month_of_rides: Path) -> None:
    model = ChurnModel.open(f"file:{month_of_rides / 'model'}")
    times: dict[str, list[datetime]] = {}
    for ride in month(2000, seed=99):
        times.setdefault(ride.rider, []).append(ride.asked_at)
    end = BEGIN + timedelta(days=20)
    found = [one for rider in times if (one := known_at(rider, times[rider], end)) is not None]
    scored = list(zip(model.score(found), found, strict=True))
    gone = [value for value, one in scored if max(times[one.rider]) < end]
    there = [value for value, one in scored if max(times[one.rider]) >= end]
    assert len(gone) > 20
    above = sum(a > b for a in gone for b in there) / (len(gone) * len(there))
    assert above > 0.7  # the area under the ROC curve; chance is 0.5


def test_an_altered_model_is_refused(month_of_rides: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(month_of_rides / "model", tmp_path / "model")
    (folder / "churn.safetensors").write_bytes(b"other")
    with pytest.raises(ArtifactError):
        ChurnModel.open(f"file:{folder}")
