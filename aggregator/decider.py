"""The one way to decide an upload, first and again, in every mode.

The stream, batch, the web service, in-process moderation, replay, rescans, reviews and backtests
decide through ``Decider``. So the same upload, policy and predictions give the same action and
the same verdict id, however they arrive, and every removal is under the cap.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from quorum.aggregator.case.cap import Cap, CapResult
from quorum.aggregator.case.case import Case
from quorum.aggregator.case.effects import Discard, Effect, Emit, Forget
from quorum.aggregator.decision.evaluate import Decision, evaluate
from quorum.aggregator.decision.facts import PredictionLike, Uploader
from quorum.aggregator.features.table import FeatureTable
from quorum.aggregator.policy.policy import Policy
from quorum.core.messages import Prediction, Review, Upload, Verdict

__all__ = ["Case", "Decided", "Decider", "Discard", "Effect", "Emit", "Forget"]


@dataclass(frozen=True, slots=True)
class Decided:
    """A first decision.

    Attributes:
        verdict: Revision 1, or the next one for an edit; under the cap.
        case: Takes late predictions, with ``Decider.late``. None where the case ended with its
            verdict, because the policy waits for detectors that do not run here.
    """

    verdict: Verdict
    case: Case | None


class Decider:
    """Decides uploads under one policy. Threads may share it.

    Args:
        policy: Decides.
        shadows: Policies in shadow: each verdict lists what each of them would have decided.
        cap: The state of the removal cap. By default its buckets are full.
        features: What features over time are kept in; by default a table of its own.
        on_capped: Called with each verdict that a cap made milder.

    Attributes:
        policy: Decides.
        shadows: Policies in shadow.
        features: Counts uploads, and gives the values of features over time.
    """

    def __init__(
        self,
        policy: Policy,
        shadows: Sequence[Policy] = (),
        cap: Cap | None = None,
        features: FeatureTable | None = None,
        on_capped: Callable[[CapResult], None] | None = None,
    ) -> None:
        self.policy = policy
        self._on_capped = on_capped
        self.shadows = tuple(shadows)
        self._cap = cap or Cap(policy)
        self.features = FeatureTable((policy, *shadows)) if features is None else features
        self._lock = threading.Lock()

    def under(self, policy: Policy) -> Decider:
        """The same with another policy: both spend from the same buckets, and count together."""
        if policy.version == self.policy.version:
            return self
        self.features.follow((policy, *self.shadows))
        cap = self._cap.under(policy)
        decider = Decider(policy, self.shadows, cap, self.features, self._on_capped)
        decider._lock = self._lock
        return decider

    def left_out(self, upload: Upload, running: Mapping[str, str | None]) -> frozenset[str]:
        """The versions of detectors that need not be asked. See ``Policy.left_out``."""
        return self.policy.left_out(upload, running, self.shadows)

    def adopt(self, case: Case) -> None:
        """Decide a case from now on by this policy, whichever it was opened under."""
        case.decide_under(self.policy, self.shadows)

    def first(
        self,
        upload: Upload,
        predictions: Iterable[Prediction],
        *,
        arrived: datetime,
        at: datetime,
        uploader: Uploader | None = None,
        earlier: Sequence[Verdict] = (),
        reviews: Iterable[Review] = (),
    ) -> Decided:
        """Decide a new upload, or an edit, with these predictions, without waiting for more.

        Args:
            upload: The upload.
            predictions: All that were made in time, in any order.
            arrived: When the upload arrived.
            at: The time of the decision.
            uploader: Past verdicts on its uploader, where they are known.
            earlier: For an edit, the verdicts on earlier contents, in their order: the last one is
                superseded.
            reviews: The reviews that count, of these verdicts.
        """
        case = Case.of_edit(self.policy, earlier, reviews, self.shadows) if earlier else self.case()
        counted = self.features.count(upload)
        verdicts = _verdicts(
            case.on_arrival(
                upload,
                predictions,
                at,
                arrived=arrived,
                uploader=uploader,
                features=counted.values,
                campaigns=counted.campaigns,
            )
        )
        if verdicts:
            return Decided(self.bounded(verdicts[-1]).verdict, case)
        (verdict,) = _verdicts(case.on_end(at))
        return Decided(self.bounded(verdict).verdict, None)

    def late(self, case: Case, prediction: Prediction, at: datetime) -> Verdict | None:
        """The superseding verdict of a late prediction; None where the action stays.

        Args:
            case: From ``first``.
            prediction: The late prediction.
            at: The time.
        """
        return self._superseding(case.on_prediction(prediction, at))

    def again(
        self,
        upload: Upload,
        predictions: Iterable[Prediction],
        reviews: Iterable[Review],
        last: Verdict | None,
        *,
        at: datetime,
        uploader: Uploader | None = None,
        review: Review | None = None,
        earlier: Iterable[Verdict] = (),
    ) -> Verdict | None:
        """Decide a recorded upload again, as after the deadline.

        Args:
            upload: The upload, with the content that holds.
            predictions: All that are known now, in any order; those of earlier contents do not
                count.
            reviews: Those that were recorded and count, in any order. The newest overrules the
                policy.
            last: The verdict with the greatest ``order``; None if there is none yet.
            at: The time of the decision.
            uploader: Past verdicts on its uploader, as they stood when it was first decided.
            review: A new review, which counts if it names ``last`` or one of ``earlier``. Without
                one, the verdict of a reviewer is never superseded.
            earlier: The other verdicts, in any order; ``last`` may be among them.

        Returns:
            The verdict that supersedes ``last``, under the cap; None where the action stays and
            ``last`` is on this content. A removal that a cap turned into a review stays a review
            until a human decides.
        """
        case = self.resume(upload, predictions, reviews, last, uploader, earlier)
        return self._superseding(
            case.on_replay(at) if review is None else case.on_review(review, at)
        )

    def decision(
        self,
        upload: Callable[[], Upload],
        predictions: Iterable[PredictionLike],
        missing: Mapping[str, str],
        uploader: Uploader,
        passed: frozenset[str] = frozenset(),
        features: Mapping[str, float] | None = None,
    ) -> Decision:
        """What the policy decides from recorded values, for a backtest; without a verdict.

        Args:
            upload: Gives the upload; called only if a rule reads it.
            predictions: In any order, at most one live one for each detector.
            missing: Why a detector made no prediction, where that is known.
            uploader: Past verdicts on the uploader.
            passed: Rules whose ``then`` has come.
            features: Values of features over time, by ``Feature.key``.
        """
        return evaluate(
            self.policy,
            upload,
            predictions,
            missing,
            uploader=uploader,
            passed=passed,
            features=features or {},
        ).decision

    def case(self) -> Case:
        """A new case, for a caller that takes events one by one and keeps its snapshots.

        Its verdicts are not bounded: pass each through ``bounded``, where the state of the cap is.
        """
        return Case(self.policy, self.shadows)

    def restore(self, snapshot: bytes) -> Case:
        """The case of a snapshot.

        Raises:
            InputError: If the snapshot has another format than this version reads.
        """
        return Case.restore(self.policy, snapshot, self.shadows)

    def resume(
        self,
        upload: Upload,
        predictions: Iterable[Prediction],
        reviews: Iterable[Review],
        last: Verdict | None,
        uploader: Uploader | None = None,
        earlier: Iterable[Verdict] = (),
    ) -> Case:
        """A case without a snapshot, from what was recorded of it. See ``again``."""
        return Case.resume(
            self.policy, upload, predictions, reviews, last, uploader, self.shadows, earlier
        )

    def bounded(self, verdict: Verdict) -> CapResult:
        """Apply the removal cap: a removal over it becomes a review with ``decided_by: cap``."""
        with self._lock:
            result = self._cap.apply(verdict)
        if result.capped and self._on_capped is not None:
            self._on_capped(result)
        return result

    def cap_snapshot(self) -> bytes:
        """The state of the cap, for ``Cap.restore``."""
        with self._lock:
            return self._cap.snapshot()

    def _superseding(self, effects: Iterable[Effect]) -> Verdict | None:
        verdicts = _verdicts(effects)
        return self.bounded(verdicts[-1]).verdict if verdicts else None


def _verdicts(effects: Iterable[Effect]) -> list[Verdict]:
    return [effect.verdict for effect in effects if isinstance(effect, Emit)]
