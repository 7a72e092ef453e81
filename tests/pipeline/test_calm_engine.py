"""An engine that has nothing to do leaves the processors to those that have."""

from __future__ import annotations

import threading
from types import SimpleNamespace

import apache_beam as beam
from apache_beam.pipeline import PipelineVisitor
from apache_beam.runners.sdf_utils import ThreadsafeRestrictionTracker
from apache_beam.runners.worker import statesampler
from apache_beam.utils.counters import CounterFactory
from apache_beam.utils.timestamp import Duration

from quorum.core.settings import MediaAccess
from quorum.models.supervision.spec import EnsembleSpec
from quorum.pipeline import graph
from quorum.pipeline.engines import Engine, acknowledge_on
from quorum.pipeline.streams.base import Sink
from quorum.pipeline.streams.open import sink, source
from quorum.pipeline.streams.unbounded import Unbounded
from quorum.pipeline.worker_pool import worker_pool
from tests.pipeline.doubles import ensemble, policy

_ADDRESS = "projects/p/{}/{}"


class _Uses(PipelineVisitor):
    """Which transforms read each collection, and which transforms there are."""

    def __init__(self) -> None:
        self.readers: dict[object, list[object]] = {}
        self.leaves: dict[str, object] = {}

    def visit_transform(self, node: object) -> None:
        applied: SimpleNamespace = node  # type: ignore[assignment]
        for read in applied.inputs:
            self.readers.setdefault(read, []).append(applied.transform)
        for made in applied.outputs.values():
            self.leaves[applied.full_label] = made


def _uses() -> _Uses:
    def topic(name: str) -> Sink:
        return sink(_ADDRESS.format("topics", name), origin="/test")

    pipeline = beam.Pipeline()
    graph.stream(
        pipeline,
        uploads=source(
            _ADDRESS.format("subscriptions", "uploads"),
            "uploads",
            acknowledge=acknowledge_on(Engine.PRISM),
        ),
        verdicts=topic("verdicts"),
        dead_letters=topic("dead"),
        predictions=topic("predictions"),
        ensemble=EnsembleSpec(ensemble(), MediaAccess()),
        policy=policy(),
    )
    uses = _Uses()
    pipeline.visit(uses)
    return uses


def test_on_prism_all_that_publishes_or_beats_has_an_output_that_leaves_its_stage() -> None:
    uses = _uses()
    last = {
        label: made
        for label, made in uses.leaves.items()
        if (label.startswith("Publish") and ": done" not in label) or label.endswith("Beat")
    }
    assert len(last) >= 5, sorted(uses.leaves)
    for label, made in last.items():
        assert any(isinstance(one, beam.Flatten) for one in uses.readers.get(made, ())), label


def test_a_source_that_waits_is_not_divided_and_goes_on_where_it_was() -> None:
    provider = Unbounded()
    tracker = ThreadsafeRestrictionTracker(
        provider.create_tracker(provider.initial_restriction("one"))
    )
    assert tracker.try_claim(0)
    assert tracker.try_claim(1)
    assert tracker.try_split(0.5) is None
    tracker.defer_remainder(Duration(0))
    rest, _ = tracker.deferred_status() or (None, None)
    assert rest is not None
    assert rest.start == 2
    assert rest.stop == provider.initial_restriction("one").stop


def test_a_bundle_of_a_worker_here_needs_no_thread_to_end() -> None:
    with worker_pool():
        sampler = statesampler.StateSampler("bundle", CounterFactory())
        state = sampler.scoped_state("step", "process")
        for _ in range(2):  # Beam uses the same one for the next bundle
            before = set(threading.enumerate())
            sampler.start()
            assert statesampler.get_current_tracker() is sampler
            with state:
                assert sampler.get_info().state_name == state.name
            assert set(threading.enumerate()) <= before
            sampler.stop_if_still_running()
            assert statesampler.get_current_tracker() is None
            sampler.reset()
