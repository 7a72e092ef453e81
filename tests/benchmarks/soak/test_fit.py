"""The line through memory: a leak is seen, noise is not taken for one."""

from __future__ import annotations

import random

import pytest

from benchmarks.soak.fit import fit, slopes
from benchmarks.soak.history import Sample

UPLOADS = [float(number * 20) for number in range(200)]


def noise(per_thousand: float) -> list[float]:
    draw = random.Random(3)
    return [400 + per_thousand * uploads / 1000 + draw.gauss(0, 3) for uploads in UPLOADS]


def test_a_leak_is_measured() -> None:
    line = fit(UPLOADS, noise(12.0))
    assert line is not None
    assert line.per_thousand == pytest.approx(12.0, abs=line.within)
    assert line.per_thousand - line.within > 0


def test_flat_memory_has_a_slope_that_may_be_zero() -> None:
    line = fit(UPLOADS, noise(0.0))
    assert line is not None
    assert abs(line.per_thousand) < line.within
    assert line.level == pytest.approx(400, abs=1)


def test_too_few_uploads_give_no_line() -> None:
    assert fit(UPLOADS[:5], noise(0.0)[:5]) is None
    assert fit([0.0] * 200, noise(0.0)) is None


def test_the_longest_life_counts_without_its_first_part() -> None:
    def sample(pid: int, number: int, worker: float) -> Sample:
        return Sample(
            at=float(number), pid=pid, uploads=number * 20, verdicts=0, worker=worker,
            children=0.0, prism=50.0,
        )  # fmt: skip

    short = [sample(1, number, 300.0 + 9 * number) for number in range(20)]
    long = [sample(2, 20 + number, 500.0 - max(0, 40 - number)) for number in range(200)]
    found = slopes([*short, *long])
    assert set(found) == {"worker", "prism"}
    assert found["worker"].per_thousand == pytest.approx(0.0, abs=1e-9)
    assert found["worker"].level == 500.0
