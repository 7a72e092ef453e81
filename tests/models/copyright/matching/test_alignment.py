from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quorum.models.copyright.matching.alignment import Seeds, align_seeds


def seeds_of(seed: int, speed: float, offset: float, noise: int = 60) -> Seeds:
    """Seeds of one minute: half of them on a line, the others random."""
    rng = np.random.default_rng(seed)
    upload = np.arange(0, 40, 0.25)
    on = rng.random(len(upload)) < 0.6
    work = speed * upload[on] + offset + rng.normal(0, 0.05, on.sum())
    chance_upload = rng.choice(upload, noise)
    chance_work = rng.uniform(0, 120, noise)
    return Seeds(
        np.concatenate([upload[on], chance_upload]),
        np.concatenate([work, chance_work]),
        rng.uniform(0.5, 1.0, on.sum() + noise),
    )


@given(
    seed=st.integers(0, 1000),
    speed=st.floats(0.6, 1.8),
    offset=st.floats(-5, 60),
)
@settings(max_examples=25, deadline=None)
def test_a_line_is_found_among_chance(seed, speed, offset):
    line, *_ = align_seeds(seeds_of(seed, speed, offset))
    at = np.array([5.0, 35.0])
    assert np.abs(line.at(at) - (speed * at + offset)).max() < 0.5
    assert line.votes >= 60


@given(seed=st.integers(0, 1000), data=st.data())
@settings(max_examples=25, deadline=None)
def test_the_order_in_which_seeds_arrive_does_not_matter(seed, data):
    seeds = seeds_of(seed, 1.25, 7.0)
    order = np.array(data.draw(st.permutations(range(len(seeds.upload)))))
    moved = Seeds(seeds.upload[order], seeds.work[order], seeds.weight[order])
    for one, other in zip(align_seeds(seeds), align_seeds(moved), strict=True):
        assert one.votes == other.votes
        assert one.speed == pytest.approx(other.speed, abs=1e-9)
        assert one.offset == pytest.approx(other.offset, abs=1e-9)


def test_chance_alone_is_no_line():
    rng = np.random.default_rng(3)
    seeds = Seeds(rng.uniform(0, 60, 30), rng.uniform(0, 3600, 30), np.ones(30))
    assert all(line.votes <= 5 for line in align_seeds(seeds))
    nothing = np.zeros(0)
    assert align_seeds(Seeds(nothing, nothing, nothing)) == []


def test_a_still_picture_is_taken_at_its_own_speed():
    upload = np.arange(0, 5, 0.25)
    pairs = np.array([(u, w) for u in upload for w in np.arange(0, 20, 0.25)])
    line, *_ = align_seeds(Seeds(pairs[:, 0], pairs[:, 1], np.ones(len(pairs))))
    assert line.speed == pytest.approx(1.0, abs=0.08)
