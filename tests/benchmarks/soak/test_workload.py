"""The workload and the faults: the same for the same seed, and all that was asked for is there."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime

import pytest

from benchmarks.soak.detectors import MADNESS
from benchmarks.soak.nemesis import faults
from benchmarks.soak.scenarios import FAULTS, SCENARIOS, scenario_of, selected
from benchmarks.soak.workload import Operation, Shape, operations
from quorum.core.errors import MalformedMessage
from quorum.core.messages import Message, Prediction, Review, Upload

BEGAN = datetime(2026, 11, 26, tzinfo=UTC)
ALL = selected(["all"])
SHAPE = Shape(120.0, 10.0, ALL, ["file:///clip.mp4"], ["file:///damaged.mp4"], flood=50)


def made(seed: int = 7, shape: Shape = SHAPE) -> list[Operation]:
    return operations(seed, shape, BEGAN)


def test_the_same_seed_gives_the_same_workload_and_another_one_another() -> None:
    assert made() == made()
    assert made() != made(8)


def test_every_scenario_of_the_workload_comes() -> None:
    assert {scenario_of(one.kind) for one in made()} == set(SCENARIOS) - set(FAULTS)
    assert {one.kind for one in made()} >= {f"mad:{name}" for name in MADNESS}


def test_only_what_was_asked_for_comes() -> None:
    shape = Shape(60.0, 10.0, selected(["none"]))
    kinds = {one.kind for one in made(shape=shape)}
    assert kinds == {"text"}


def test_text_uploads_come_at_the_rate() -> None:
    shape = Shape(200.0, 10.0, selected(["media", "partner"]), ["file:///clip.mp4"])
    count = sum(one.kind == "text" for one in made(shape=shape))
    assert 1800 < count < 2200


def test_what_is_accepted_can_be_read_and_what_is_malformed_cannot() -> None:
    kinds: dict[str, type[Message]] = {
        "uploads": Upload, "partner": Prediction, "reviews": Review
    }  # fmt: skip
    for one in made():
        if one.data is None:
            continue
        if one.kind == "malformed":
            with pytest.raises(MalformedMessage):
                kinds[one.stream].from_bytes(one.data)
        elif one.upload_id and one.stream == "uploads":
            assert Upload.from_bytes(one.data).id == one.upload_id


def test_an_edit_is_published_later_than_what_it_replaces() -> None:
    first = {one.upload_id: one for one in made() if one.kind == "edit"}
    edits = [one for one in made() if one.kind == "edit:again"]
    assert edits
    for edit in edits:
        before, after = first[edit.upload_id].data, edit.data
        assert before is not None and after is not None
        assert Upload.from_bytes(before).published_at < Upload.from_bytes(after).published_at
        assert Upload.from_bytes(before).digest != Upload.from_bytes(after).digest


def test_each_fault_comes_once_before_any_comes_twice_with_calm_between() -> None:
    drawn = list(itertools.islice(faults(3, 3600.0, ALL), 2 * len(FAULTS)))
    assert drawn == list(itertools.islice(faults(3, 3600.0, ALL), 2 * len(FAULTS)))
    assert {one.kind for one in drawn[: len(FAULTS)]} == set(FAULTS)
    assert all(one.after >= 15.0 for one in drawn)


def test_without_faults_the_schedule_is_empty() -> None:
    assert list(faults(3, 60.0, selected(["mad"]))) == []


def test_a_scenario_that_there_is_not_is_refused() -> None:
    with pytest.raises(ValueError, match="there is no scenario kil; there are text"):
        selected(["kil"])
