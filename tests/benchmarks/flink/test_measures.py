"""What the measurements on Flink make of their numbers."""

from __future__ import annotations

import random
from collections import defaultdict
from pathlib import Path
from typing import Any, ClassVar, cast

import pytest

from benchmarks.flink.checkpoints import Checkpoint, fitted, open_cases
from benchmarks.flink.detectors import TRIVIAL, policy, settings
from benchmarks.flink.kills import Counts, counted
from benchmarks.flink.lines import plane
from benchmarks.flink.load import Load, times
from benchmarks.flink.state import Measured, bytes_a_case
from quorum.aggregator.policy.policy import Policy
from quorum.core.settings import load_settings


def checkpoints(growth: float) -> list[tuple[Checkpoint, int]]:
    draw = random.Random(5)
    made = []
    for number in range(1, 601):
        cases = 300 + 200 * (number // 50 % 2) + draw.randrange(20)
        size = 70_000 + growth * number + 950 * cases + draw.gauss(0, 500)
        made.append((Checkpoint(number, number * 0.3, round(size)), cases))
    return made


@pytest.mark.parametrize("growth", [0.0, 8200.0, 5.0])
def test_growth_by_itself_is_told_from_that_by_open_cases(growth: float) -> None:
    fit = fitted(checkpoints(growth), busy=True)
    assert fit["number"].value == pytest.approx(growth, abs=2 * fit["number"].within)
    assert (fit["number"].value > fit["number"].within) == (growth > 0)
    assert fit["cases"].value == pytest.approx(950, rel=0.02)


def test_a_flat_line_has_no_growth() -> None:
    flat = [(Checkpoint(number, float(number), 71_700), 0) for number in range(1, 101)]
    fit = fitted(flat, busy=False)
    assert fit["number"].value == pytest.approx(0, abs=1e-6)
    assert fit["level"].value == pytest.approx(71_700)


def test_few_measurements_are_no_line() -> None:
    with pytest.raises(ValueError, match="too few"):
        plane({"number": [1.0, 2.0, 3.0]}, [1.0, 2.0, 3.0])


def test_a_case_is_open_for_its_retention_after_its_verdict() -> None:
    came = [1.0, 2.0, 3.0, 10.0]
    assert [open_cases(came, 5.0, at) for at in (0.5, 2.5, 6.5, 9.0, 11.0)] == [0, 2, 2, 0, 1]


def test_bytes_a_case_leave_out_what_does_not_depend_on_cases() -> None:
    found = [Measured(200, 0, 262_568), Measured(1200, 0, 1_207_568)]
    assert bytes_a_case(found) == pytest.approx(945)


def test_the_load_has_ten_times_the_rate_in_its_burst() -> None:
    made = times(20.0, 60.0, 2.0)
    assert made == sorted(made)
    assert sum(30.0 <= at < 32.0 for at in made) == pytest.approx(400, abs=2)
    assert len(made) == pytest.approx(20 * 58 + 400, abs=4)


def loaded(capacity: float) -> Load:
    """Uploads at 20/s and a burst, decided one after the other by so many a second."""
    sent = times(20.0, 60.0, 2.0)
    came: list[float] = []
    free = 0.0
    for at in sent:
        free = max(free, at) + 1 / capacity
        came.append(free)
    return Load(sent, came, (30.0, 32.0))


def test_a_lag_that_goes_back_is_told_from_one_that_stays() -> None:
    fine = loaded(40.0)
    assert fine.lag(32.0) == pytest.approx(320, abs=5)
    # 320 uploads wait, and 20/s are over.
    assert fine.recovered() == pytest.approx(16.0, abs=1.0)
    assert fine.latencies[-1] == pytest.approx(8.0, abs=0.5)
    assert loaded(21.0).recovered() is None


class Platform:
    """What came of three uploads: one twice with one verdict, one with two that differ."""

    came: ClassVar = {"kills-0": 1.5, "kills-1": 9.0}
    verdicts: ClassVar = defaultdict(
        dict, {"kills-0": {"m1": "v", "m2": "v"}, "kills-1": {"m3": "v", "m4": "w"}}
    )


def test_what_kills_do_to_uploads_is_counted() -> None:
    found = counted(cast(Any, Platform()), [1.0, 2.0, 3.0])
    assert found == Counts(published=3, lost=1, repeated=2, differing=1, longest=7.0)


def test_settings_and_policy_of_a_measured_job_are_valid(tmp_path: Path) -> None:
    made = Policy.from_text(policy(TRIVIAL, deadline=30.0, retention=60.0))
    assert set(made.detectors) == set(TRIVIAL)
    path = tmp_path / "settings.yaml"
    path.write_text(settings(TRIVIAL, batch=1, processes=4))
    read = load_settings(path)
    assert read.detectors is not None
    assert read.detectors["one"].max_batch == 1
    assert read.workers.processes == 4
