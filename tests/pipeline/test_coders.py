"""What crosses an engine comes back as it was, whatever its bytes."""

from __future__ import annotations

from apache_beam import coders
from apache_beam.typehints import Tuple
from hypothesis import given
from hypothesis import strategies as st

from quorum.aggregator.decision.compact import CompactPrediction
from quorum.pipeline.streams.base import Joined, JoinedCoder, Received, ReceivedCoder

RECEIVED = st.builds(
    Received,
    data=st.binary(max_size=200),
    attributes=st.dictionaries(st.text(max_size=10), st.text(max_size=20), max_size=4),
    ack_id=st.text(max_size=30),
    stream=st.sampled_from(["uploads", "predictions", "reviews"]),
    arrived=st.floats(0, 4e9),
)


@given(RECEIVED)
def test_received_comes_back(value: Received) -> None:
    assert ReceivedCoder().decode(ReceivedCoder().encode(value)) == value


PREDICTION = st.builds(
    CompactPrediction,
    id=st.text(max_size=9),
    detector=st.text(max_size=9),
    version=st.text(max_size=9),
    at=st.integers(0, 2**53),
    code=st.sampled_from(["scored", "abstained", "failed"]),
    score=st.none() | st.floats(0, 1),
    labels=st.dictionaries(st.text(max_size=9), st.floats(0, 1), max_size=3),
    reason=st.none() | st.text(max_size=9),
    shadow=st.booleans(),
    digest=st.none() | st.text(max_size=9),
    seen=st.none() | st.floats(0, 1),
)


@given(st.lists(RECEIVED, max_size=6).map(tuple), st.lists(PREDICTION, max_size=4).map(tuple))
def test_joined_comes_back_in_its_order(
    messages: tuple[Received, ...], predictions: tuple[CompactPrediction, ...]
) -> None:
    value = Joined(messages, predictions)
    assert JoinedCoder().decode(JoinedCoder().encode(value)) == value


@given(st.lists(st.tuples(st.text(max_size=5), RECEIVED.map(lambda one: Joined((one,))))))
def test_they_nest_in_what_beam_makes_of_them(values: list[tuple[str, Joined]]) -> None:
    coder = coders.registry.get_coder(Tuple[str, Joined])
    many = coders.IterableCoder(coder)
    assert list(many.decode(many.encode(values))) == values


def test_beam_takes_these_coders_and_not_pickle() -> None:
    assert isinstance(coders.registry.get_coder(Received), ReceivedCoder)
    assert isinstance(coders.registry.get_coder(Joined), JoinedCoder)
    assert isinstance(coders.registry.get_coder(Tuple[str, Joined]).coders()[1], JoinedCoder)


def test_they_are_values_and_never_keys() -> None:
    assert not ReceivedCoder().is_deterministic()
    assert not JoinedCoder().is_deterministic()
    assert ReceivedCoder().to_type_hint() is Received
    assert JoinedCoder().to_type_hint() is Joined
