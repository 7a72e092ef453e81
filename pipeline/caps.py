"""The removal cap in the graph: the policy's buckets in the state of one key.

Only verdicts that remove without a human pass through that key; all others pass by. On an engine
without checkpoints a restart fills the buckets: a crash loop is bounded by what it can decide.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import apache_beam as beam
import prometheus_client as prometheus
from apache_beam import coders
from apache_beam.metrics import Metrics
from apache_beam.transforms.userstate import ReadModifyWriteStateSpec

from quorum.aggregator.case.cap import Cap
from quorum.aggregator.decider import Decider
from quorum.aggregator.policy.policy import Policy
from quorum.core.messages import Verdict
from quorum.pipeline.streams.base import Outgoing

__all__ = ["CapRemovals", "are_capped"]

#: Not zero: software removes faster than the policy's caps allow, and someone should look.
_CAPPED = prometheus.Counter(
    "quorum_capped_removals", "Removals that a cap turned into reviews.", ("bucket",)
)


def are_capped(policy: Policy) -> bool:
    """Whether a policy has any cap; without one, verdicts need not pass ``CapRemovals``."""
    caps = policy.caps
    return caps.total is not None or caps.each_rule is not None or bool(caps.rules)


class CapRemovals(beam.PTransform):
    """From outgoing verdicts to the same, with no more removals than the policy's caps allow.

    From a tuple of collections to one for what passes by of each, and one for what went through
    the caps; they are published apart, because to flatten them every verdict would have to cross
    the engine.

    Args:
        policy: Its caps; see ``are_capped``.
    """

    def __init__(self, policy: Policy) -> None:
        super().__init__()
        self.policy = policy

    def expand(
        self, decided: tuple[beam.PCollection[Outgoing], ...]
    ) -> tuple[beam.PCollection[Outgoing], ...]:
        """See PTransform."""
        parted = [
            each | f"Part {number}" >> beam.ParDo(_Part()).with_outputs("removing", main="others")
            for number, each in enumerate(decided)
        ]
        capped = (
            [each.removing for each in parted]
            | "Removals" >> beam.Flatten()
            | "One key" >> beam.Map(_keyed).with_output_types(tuple[str, Outgoing])
            | "Spend" >> beam.ParDo(_Spend(self.policy)).with_output_types(Outgoing)
        )
        return (*(each.others for each in parted), capped)


class _Part(beam.DoFn):
    def process(self, outgoing: Outgoing) -> Iterator[Any]:
        if any(isinstance(one, Verdict) and Cap.concerns(one) for one in outgoing.messages):
            yield beam.pvalue.TaggedOutput("removing", outgoing)
        else:
            yield outgoing


def _keyed(outgoing: Outgoing) -> tuple[str, Outgoing]:
    return "removals", outgoing


class _Spend(beam.DoFn):
    BUCKETS = ReadModifyWriteStateSpec("buckets", coders.BytesCoder())

    def __init__(self, policy: Policy) -> None:
        self.policy = policy

    def process(
        self,
        element: tuple[str, Outgoing],
        buckets: Any = beam.DoFn.StateParam(BUCKETS),  # noqa: B008
    ) -> Iterator[Outgoing]:
        data = buckets.read()
        decider = Decider(self.policy, cap=Cap.restore(self.policy, data) if data else None)
        outgoing = element[1]
        messages = tuple(
            self._bounded(decider, one) if isinstance(one, Verdict) else one
            for one in outgoing.messages
        )
        buckets.write(decider.cap_snapshot())
        yield Outgoing(messages, outgoing.ack_ids)

    @staticmethod
    def _bounded(decider: Decider, verdict: Verdict) -> Verdict:
        result = decider.bounded(verdict)
        if result.bucket is not None:
            Metrics.counter("quorum", f"capped.{result.bucket}").inc()
            _CAPPED.labels(result.bucket).inc()
        return result.verdict
