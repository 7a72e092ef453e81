"""The caps in the graph: the policy's token buckets in the state of one key.

Only removals that no human decided pass through that key, and reviews where they are capped;
other verdicts bypass it. On an engine
without checkpoints a restart refills the buckets.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import apache_beam as beam
from apache_beam import coders
from apache_beam.metrics import Metrics
from apache_beam.transforms.userstate import ReadModifyWriteStateSpec

from quorum.aggregator.case.cap import Cap
from quorum.aggregator.decider import Decider
from quorum.aggregator.policy.policy import Policy
from quorum.core.messages import Verdict
from quorum.pipeline.capped import count_capped
from quorum.pipeline.policies.live import LivePolicy
from quorum.pipeline.streams.base import Outgoing

__all__ = ["CapRemovals", "are_capped"]


def are_capped(policy: Policy) -> bool:
    """Whether a policy has a cap; without one, verdicts need not pass ``CapRemovals``."""
    return any(one.caps.removals or one.caps.reviews is not None for one in policy.sides)


_Verdicts = tuple[beam.PCollection[Outgoing], ...]


class CapRemovals(beam.PTransform[_Verdicts, _Verdicts]):
    """Turns removals above the policy's caps into reviews, and reviews into restrictions.

    From a tuple of collections of outgoing verdicts to the same, less those that a cap concerns,
    and one more with these after the caps. They are published apart: to flatten them, every verdict
    would have to cross the engine.

    Args:
        policy: The policy with the caps; see ``are_capped``.
        live: Follows the policies that are released; None for none.
    """

    def __init__(self, policy: Policy, live: LivePolicy | None = None) -> None:
        super().__init__()
        self.policy = policy
        self.live = live

    def expand(self, decided: _Verdicts) -> _Verdicts:
        """See PTransform."""
        part = _Part(self.policy, self.live)
        parted = [
            each | f"Part {number}" >> beam.ParDo(part).with_outputs("removing", main="others")
            for number, each in enumerate(decided)
        ]
        capped = (
            [each.removing for each in parted]
            | "Removals" >> beam.Flatten()
            | "One key" >> beam.Map(_keyed).with_output_types(tuple[str, Outgoing])
            | "Spend" >> beam.ParDo(_Spend(self.policy, self.live)).with_output_types(Outgoing)
        )
        return (*(each.others for each in parted), capped)


class _Part(beam.DoFn):
    def __init__(self, policy: Policy, live: LivePolicy | None = None) -> None:
        self.policy = policy
        self.live = live

    def start_bundle(self) -> None:
        self._cap = Cap(self.policy if self.live is None else self.live.current())

    def process(self, outgoing: Outgoing) -> Iterator[Any]:
        if any(isinstance(one, Verdict) and self._cap.concerns(one) for one in outgoing.messages):
            yield beam.pvalue.TaggedOutput("removing", outgoing)
        else:
            yield outgoing


def _keyed(outgoing: Outgoing) -> tuple[str, Outgoing]:
    return "removals", outgoing


class _Spend(beam.DoFn):
    BUCKETS = ReadModifyWriteStateSpec("buckets", coders.BytesCoder())

    def __init__(self, policy: Policy, live: LivePolicy | None = None) -> None:
        self.policy = policy
        self.live = live

    def start_bundle(self) -> None:
        if self.live is not None:
            self.policy = self.live.current()

    def process(
        self,
        element: tuple[str, Outgoing],
        buckets: Any = beam.DoFn.StateParam(BUCKETS),  # noqa: B008
    ) -> Iterator[Outgoing]:
        data = buckets.read()
        cap = Cap.restore(self.policy, data) if data else None
        decider = Decider(self.policy, cap=cap, on_capped=count_capped)
        outgoing = element[1]
        messages = tuple(
            self._bounded(decider, one) if isinstance(one, Verdict) else one
            for one in outgoing.messages
        )
        buckets.write(decider.cap_snapshot())
        yield replace(outgoing, messages=messages)

    @staticmethod
    def _bounded(decider: Decider, verdict: Verdict) -> Verdict:
        result = decider.bounded(verdict)
        if result.bucket is not None and result.of == "removals":
            Metrics.counter("quorum", f"capped.{result.bucket}").inc()
        elif result.bucket is not None and result.of == "reviews":
            Metrics.counter("quorum", f"capped-reviews.{result.bucket}").inc()
        elif result.bucket is not None:
            Metrics.counter("quorum", "capped-matches").inc()
        return result.verdict
