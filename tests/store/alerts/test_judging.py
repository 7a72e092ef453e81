from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from quorum.store.alerts.judging import judge
from quorum.store.alerts.values import Bounds, Reading, Share, Signal, Spread, State

BOUNDS = Bounds(fewest=50, least_weeks=2, ratio=1.5, calm_seconds=1800)
REMOVALS = Signal("removals")


def judged(now: tuple[int, int], *weeks: tuple[int, int]):
    return judge(Reading(REMOVALS, Share(*now), tuple(Share(*one) for one in weeks)), BOUNDS)


def test_a_rate_far_above_each_of_the_weeks_is_off():
    found = judged((120, 1000), (30, 1000), (35, 1000), (25, 1000))
    assert found.state is State.OFF
    assert found.more
    assert found.low < found.now == 0.12 < found.high
    assert found.usual == 0.03
    assert found.weeks == 3


def test_a_rate_far_below_is_off_too():
    found = judged((0, 2000), (60, 1000), (55, 1000))
    assert found.state is State.OFF
    assert found.more is False


def test_a_rate_that_one_week_had_is_as_usual():
    """Every Monday is not an alert, and neither is a week in which it happened before."""
    assert judged((120, 1000), (30, 1000), (115, 1000), (25, 1000)).state is not State.OFF
    assert judged((90, 1000), (30, 1000), (115, 1000), (25, 1000)).state is State.USUAL


def test_what_is_sure_but_small_is_not_told():
    found = judged((33_000, 1_000_000), (30_000, 1_000_000), (30_100, 1_000_000))
    assert found.state is not State.OFF


def test_what_is_large_but_not_sure_is_not_told():
    assert judged((4, 60), (2, 60), (1, 60)).state is not State.OFF


def test_too_little_says_nothing():
    assert judged((40, 49), (1, 1000), (1, 1000)).state is State.UNKNOWN
    assert judged((400, 1000), (1, 1000)).state is State.UNKNOWN
    assert judged((400, 1000), (1, 1000), (1, 49), (0, 0)).state is State.UNKNOWN
    assert judged((0, 0), (0, 0), (0, 0)).state is State.UNKNOWN


def test_a_rule_that_never_fired_is_told_when_it_does():
    found = judged((100, 1000), (0, 1000), (0, 1000))
    assert found.state is State.OFF


def test_between_off_and_usual_is_neither():
    weeks = ((300, 10_000), (300, 10_000))
    assert judged((460, 10_000), *weeks).state is State.OFF
    assert judged((420, 10_000), *weeks).state is State.BETWEEN
    assert judged((350, 10_000), *weeks).state is State.USUAL


@given(st.integers(0, 400), st.integers(400, 5000), st.integers(2, 6))
def test_a_constant_rate_is_never_told(hits: int, total: int, weeks: int):
    assert judged((hits, total), *[(hits, total)] * weeks).state is State.USUAL


@given(
    st.tuples(st.integers(0, 500), st.integers(0, 500)),
    st.lists(st.tuples(st.integers(0, 500), st.integers(0, 500)), max_size=5),
)
def test_a_judgement_never_fails_and_stands_on_enough(now, weeks):
    given_ = [(hits, hits + more) for hits, more in [now, *weeks]]
    found = judged(*given_)
    if found.state is not State.UNKNOWN:
        assert found.total >= BOUNDS.fewest
        assert found.weeks >= BOUNDS.least_weeks
        assert 0 <= found.low <= found.now <= found.high <= 1


def spread(*bins: int) -> Spread:
    return Spread(tuple(bins) + (0,) * (14 - len(bins)))


def drift(now: Spread, *weeks: Spread):
    return judge(Reading(Signal("drift", "spam"), now, weeks), BOUNDS)


def test_scores_that_moved_are_off():
    usual = spread(800, 100, 50, 50)
    assert drift(usual, usual, usual).state is State.USUAL
    moved = drift(spread(300, 100, 50, 550), usual, usual)
    assert moved.state is State.OFF
    assert moved.now > 0.25
    assert drift(spread(100, 0, 0, 99), usual, usual).state is State.UNKNOWN
    assert drift(spread(300, 100, 50, 550), usual, spread(310, 100, 50, 540)).state is State.USUAL


def test_few_scores_of_one_distribution_are_no_drift():
    """Of 200 scores over ten bins the index alone is 0.1 by chance."""
    first = spread(30, 25, 20, 15, 10, 30, 25, 20, 15, 10)
    other = spread(22, 30, 25, 10, 14, 24, 31, 14, 20, 10)
    assert drift(first, other, other).state is State.USUAL
