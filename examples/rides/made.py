"""Rides that are made up, by a formula with noise: for training and for trying."""

from __future__ import annotations

import json
import random
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from examples.rides.messages import Ride

__all__ = ["month", "rides", "truth"]

BEGIN = datetime(2026, 1, 5, tzinfo=UTC)


def rides(count: int, seed: int = 7) -> Iterator[Ride]:
    """So many rides of one week."""
    chance = random.Random(seed)  # noqa: S311
    for number in range(count):
        asked_at = BEGIN + timedelta(minutes=chance.randrange(7 * 24 * 60))
        made = {
            "id": f"ride-{number}",
            "rider": f"rider-{chance.randrange(200)}",
            "kilometres": round(chance.expovariate(1 / 6) + 0.5, 2),
            "passengers": chance.choice((1, 1, 1, 2, 3)),
            "asked_at": asked_at.isoformat(),
        }
        if made["kilometres"] <= 500:
            yield Ride.model_validate_json(json.dumps(made))


def month(count: int, seed: int = 7) -> Iterator[Ride]:
    """So many rides of four weeks, in the order of time: of some riders, and not to the end of all.

    Each rider has a pace, and a fifth of them stop to come at some day.
    """
    chance = random.Random(seed)  # noqa: S311
    pace = [chance.choice((4, 6, 10)) for _ in range(200)]
    last = [chance.randrange(28) if chance.random() < 0.2 else 28 for _ in range(200)]
    made = []
    while len(made) < count:
        (rider,) = chance.choices(range(200), pace)
        minutes = chance.randrange(28 * 24 * 60)
        if minutes < last[rider] * 24 * 60:
            asked_at = BEGIN + timedelta(minutes=minutes)
            kilometres = round(min(500.0, chance.expovariate(1 / 6) + 0.5), 2)
            made.append((asked_at, f"rider-{rider}", kilometres))
    for number, (asked_at, rider_id, kilometres) in enumerate(sorted(made)):
        yield Ride(id=f"ride-{number}", rider=rider_id, kilometres=kilometres, asked_at=asked_at)


def truth(ride: Ride, chance: random.Random) -> dict[str, float]:
    """What a ride came to in the end: the formula that the models should find."""
    rush = ride.asked_at.hour in (7, 8, 16, 17)
    duration = 4 + 2.2 * ride.kilometres + 6 * rush + chance.gauss(0, 1.5)
    cost = 3.5 + 1.8 * ride.kilometres + 0.5 * (ride.passengers - 1) + chance.gauss(0, 0.5)
    tip = 0.4 + 0.08 * cost - 0.5 * rush + chance.gauss(0, 0.3)
    return {"duration": duration, "cost": cost, "tip": tip}


if __name__ == "__main__":
    # python -m examples.rides.made 100, or python -m examples.rides.made 3000 month
    number = int(sys.argv[1]) if len(sys.argv) > 1 else 100
    for one in month(number) if "month" in sys.argv[2:] else rides(number):
        print(one.to_bytes().decode())
