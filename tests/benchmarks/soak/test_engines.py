"""The soak on its engines: which faults there are, what is judged, and what the page shows."""

from __future__ import annotations

from itertools import islice
from pathlib import Path

import pytest

from benchmarks.soak.checker import check
from benchmarks.soak.facts import Facts
from benchmarks.soak.history import Acked, Event, Sample, Started
from benchmarks.soak.nemesis import faults
from benchmarks.soak.report import write_page
from benchmarks.soak.scenarios import FAULTS, KILLS, on_engine, selected
from benchmarks.soak.setting import Setting

T0 = 1_800_000_000.0
POLICY = Setting(Path("folder"), Path("media"), deadline=10.0, retention=60.0).policy_text


def kinds(engine: str) -> list[str]:
    chosen = on_engine(selected(["default"]), engine)
    return [fault.kind for fault in islice(faults(7, 60.0, chosen), 24)]


def test_each_engine_has_its_own_kills_and_all_other_faults() -> None:
    prism, flink = set(kinds("prism")), set(kinds("flink"))
    assert prism == set(FAULTS) - {"taskmanager", "jobmanager"}
    assert flink == set(FAULTS) - {"prism"}
    assert {"kill", "taskmanager", "jobmanager"} == flink & set(KILLS)


def test_a_seed_gives_the_same_faults_again() -> None:
    assert kinds("flink") == kinds("flink")
    # As it was before Flink came: the seed of a run that broke repeats it.
    assert kinds("prism")[:8] == [
        "slow", "pause", "disk", "prism", "stall", "remade", "kill", "away",
    ]  # fmt: skip


def history(engine: str) -> list[Event]:
    def sample(second: int) -> Sample:
        return Sample(
            at=T0 + second, pid=1, uploads=second, verdicts=second, worker=200.0, children=100.0,
            prism=0.0, taskmanager=700.0, jobmanager=400.0, checkpoint=70_000.0 + second,
            state=950.0 * second, lag=second % 3,
        )  # fmt: skip

    started = Started(
        at=T0, command="again", policy=POLICY, deadline=10.0, slack=2.0, engine=engine
    )
    early = Acked(at=T0 + 1, stream="uploads", key="of-no-outcome")
    return [started, *(sample(second) for second in range(30)), early]


@pytest.mark.parametrize(("engine", "broken"), [("prism", 1), ("flink", 0)])
def test_acks_before_the_outcome_are_flinks_way_alone(engine: str, broken: int) -> None:
    found = check(Facts(history(engine)), {})
    assert sum(one.invariant == "acks" for one in found.broken) == broken


def test_the_page_shows_checkpoints_state_memory_and_lag_of_flink(tmp_path: Path) -> None:
    facts = Facts(history("flink"))
    write_page(tmp_path / "report.html", facts, check(facts, {}))
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    for title in ("Checkpoint", "State", "Memory of the TaskManager", "Lag"):
        assert f"<h2>{title}</h2>" in page
    assert "Memory of Prism" not in page
