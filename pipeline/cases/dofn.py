"""The DoFn that drives cases: passes events to a case and turns its effects into output."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Set
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import apache_beam as beam

from quorum.aggregator.decider import Decider, Discard, Effect, Emit, Forget
from quorum.aggregator.decision.facts import Uploader
from quorum.aggregator.features.table import FeatureTable, feature_table
from quorum.aggregator.policy.policy import Policy
from quorum.core.errors import QuorumError
from quorum.core.messages import Message, Prediction, Review, Upload, now
from quorum.core.tracing import ids
from quorum.pipeline.cases.options import CaseOptions
from quorum.pipeline.cases.stored import StoredCase
from quorum.pipeline.drift import process_watch
from quorum.pipeline.metrics import Meter
from quorum.pipeline.policies.live import show_decides
from quorum.pipeline.streams.base import Joined, Outgoing, Received, dead_letter
from quorum.pipeline.traced import decided
from quorum.store.histories import Histories
from quorum.store.ledger import Ledger, LedgerCase, TimeRange

__all__ = ["STAGE", "CaseDoFn"]

_log = logging.getLogger(__name__)

_NO_PLACE = (
    "its upload did not arrive, and too many later messages of its publisher wait for theirs"
)

#: The stage that dead letters of this step name.
STAGE = "decide"


class CaseDoFn(beam.DoFn):
    """Drives cases; subclasses define where a case is stored and what its timer is.

    Args:
        policy: The policy that decides, until ``options.live`` gives another one.
        options: Further options.
    """

    def __init__(self, policy: Policy, options: CaseOptions | None = None) -> None:
        self.policy = policy
        self.options = options or CaseOptions()
        #: Names what features over time are kept in: all copies of the step share it.
        self.counts = uuid4().hex

    def setup(self) -> None:
        table = self.features()
        self._decider = Decider(self.policy, self.options.shadows, features=table)
        self._meter = Meter()
        show_decides(self.policy, self.options.live)
        self._watch = process_watch(self.options.reference)
        self._histories: Histories | None = None
        self._ledger: Ledger | None = None
        if self.options.histories or self.options.ledger:
            # No retries: a look-up must fail long before an outage of the database ends.
            self._ledger = Ledger(self.options.ledger, check_schema=False, retry=())
        if self.options.histories and self._ledger is not None:
            self._histories = Histories(self.policy, self._ledger, self._meter.unknown_history)
        if table and self._ledger is not None:
            self._warm(table, self._ledger)

    def features(self) -> FeatureTable:
        """What features over time are kept in."""
        return feature_table(self.counts, (self.policy, *self.options.shadows))

    def _warm(self, table: FeatureTable, ledger: Ledger) -> None:
        """Count the recorded uploads of the longest window, so that a restart forgets nothing."""
        since = now() - timedelta(seconds=table.reach)
        try:
            count = table.warm(lambda: ledger.uploads(TimeRange(since, None)))
        except QuorumError as error:
            _log.warning("features over time begin empty: the ledger cannot be read (%s)", error)
            return
        if count:
            _log.info("features over time are counted anew", extra={"uploads": count})

    def start_bundle(self) -> None:
        """Take the policy in force: all cases of the bundle are decided by it."""
        if self.options.live is None:
            return
        policy = self.options.live.current()
        if policy.version != self._decider.policy.version:
            self.policy = policy
            self._decider = self._decider.under(policy)
            if self._histories is not None:
                self._histories.follow(policy)

    def teardown(self) -> None:
        if self._histories is not None:
            self._histories.close()
        if self._ledger is not None:
            self._ledger.close()

    def restored(self, data: bytes | None) -> StoredCase:
        """The case of a snapshot; a new one without."""
        if not data:
            return StoredCase(self._decider.case())
        return StoredCase.restore(data, self._decider)

    def on_joined(self, stored: StoredCase, joined: Joined) -> Iterator[Any]:
        """Pass messages to their case."""
        for received in joined.messages:
            yield from self._on_message(stored, received, joined)
        if not joined.messages and stored.opened:
            # Made in this job after their upload went on; they need no acknowledgement.
            for prediction in joined.predictions:
                yield from self._outputs(stored, stored.case.on_prediction(prediction, now()))

    def on_timer(self, stored: StoredCase) -> Iterator[Any]:
        """Pass the current time to a case that is due."""
        yield from self._outputs(stored, stored.case.on_deadline(now()))

    def expire_orphans(self, stored: StoredCase) -> Iterator[Any]:
        """Discard orphans whose timer is late, before newer messages join the case."""
        when = None if stored.opened else stored.case.notify_at()
        if when is not None and when <= now():
            yield from self.on_timer(stored)

    def discard_orphans(self, stored: StoredCase, keys: Set[str]) -> Iterator[Any]:
        """Discard orphans that lost their place."""
        for orphan in [one for one in stored.orphans if one.key in keys]:
            kind = Review if orphan.received.stream == "reviews" else Prediction
            message = kind.read(orphan.received.data)
            yield from self._outputs(stored, stored.case.discard(message, _NO_PLACE))

    def on_end_of_input(self, stored: StoredCase) -> Iterator[Any]:
        """End a case: no more messages arrive."""
        yield from self._outputs(stored, tuple(stored.case.on_end(now())))

    def _on_message(self, stored: StoredCase, received: Received, joined: Joined) -> Iterator[Any]:
        at = now()
        match received.stream:
            case "uploads":
                effects = self._on_upload(stored, received, joined, at)
            case "predictions":
                effects = self._on_prediction(stored, received, joined, at)
            case _:
                effects = self._on_review(stored, received, at)
        yield from self._outputs(stored, effects)

    def _on_upload(
        self, stored: StoredCase, received: Received, joined: Joined, at: datetime
    ) -> Iterable[Effect]:
        upload = joined.upload or Upload.model_validate_json(received.data)
        arrived = datetime.fromtimestamp(received.arrived, UTC)
        stored.opened = True
        stored.trace = received.trace
        stored.hold(received.ack_id)
        counted = joined.counted or self._decider.features.count(upload)
        effects = stored.case.on_arrival(
            upload,
            joined.predictions,
            at,
            arrived=min(arrived, at),
            uploader=self._uploader(upload, at),
            upload_json=received.data,
            features=counted.values,
            campaigns=counted.campaigns,
        )
        stored.release_orphans()
        return effects

    def _uploader(self, upload: Upload, at: datetime) -> Uploader | None:
        """Past verdicts on the uploader; None where no policy reads them."""
        if self._histories is None:
            return None
        policies = (self.policy, *self.options.shadows)
        if not any(policy.reads_history for policy in policies):
            return None
        return self._histories.of(upload, at)

    def _on_prediction(
        self, stored: StoredCase, received: Received, joined: Joined, at: datetime
    ) -> Iterable[Effect]:
        if joined.predictions and not stored.case.lacks(joined.predictions[0].digest):
            stored.hold(received.ack_id)
            return stored.case.on_prediction(joined.predictions[0], at)
        prediction = Prediction.read(received.data)
        stored.hold_message(prediction, received)
        return stored.case.on_prediction(prediction, at)

    def _on_review(self, stored: StoredCase, received: Received, at: datetime) -> Iterable[Effect]:
        review = Review.read(received.data)
        past = None
        effects: list[Effect] = []
        if not stored.opened:
            past = self._recorded(review.upload_id)
            effects += self._resume(stored, past, at)
        elif not stored.case.knows_verdict(review.verdict_id):
            past = self._recorded(review.upload_id)
        recorded = None if past is None else past.verdict_of(review)
        stored.hold_message(review, received)
        return [*effects, *stored.case.on_review(review, at, recorded=recorded)]

    def _resume(
        self, stored: StoredCase, past: LedgerCase | None, at: datetime
    ) -> Iterator[Effect]:
        """Restore a case from the ledger: a review may arrive after its retention or a restart.

        If the ledger is unreachable or has no verdict, the review waits for its upload like any
        other message.
        """
        if past is None or past.upload is None or past.verdict is None:
            return
        stored.case = self._decider.resume(
            past.upload,
            past.predictions,
            past.counted_reviews,
            past.verdict,
            earlier=past.verdicts,
        )
        stored.opened = True
        for orphan in stored.orphans:
            # It waited for its upload, which is here now.
            if orphan.received.stream == "reviews":
                one = Review.read(orphan.received.data)
                yield from stored.case.on_review(one, at, recorded=past.verdict_of(one))
            else:
                prediction = Prediction.read(orphan.received.data)
                yield from stored.case.on_prediction(prediction, at)
        stored.release_orphans()

    def _recorded(self, upload_id: str) -> LedgerCase | None:
        """What the ledger has of an upload; None without a ledger, or if it does not answer."""
        if self._ledger is None:
            return None
        try:
            return self._ledger.get_case(upload_id)
        except Exception as error:  # of the database's driver; its text may quote the URL
            extra = {"upload_id": upload_id, "reason": type(error).__name__}
            _log.warning("the ledger does not answer for a review", extra=extra)
            return None

    def _outputs(self, stored: StoredCase, effects: Iterable[Effect]) -> Iterator[Any]:
        # Dead letters first, which take the ack ids of their messages. The other messages are acked
        # with the last verdict of a call: an earlier one may not be their end.
        effects = sorted(effects, key=lambda effect: not isinstance(effect, Discard))
        last = max((i for i, one in enumerate(effects) if isinstance(one, Emit)), default=-1)
        for number, effect in enumerate(effects):
            match effect:
                case Emit(verdict=verdict):
                    self._meter.verdict(verdict, self.policy.deadline)
                    self._watch.verdict(verdict)
                    trace = decided(verdict, stored.trace)
                    _log.info(
                        "verdict",
                        extra={
                            "upload_id": verdict.upload_id,
                            "action": verdict.action.value,
                            "revision": verdict.revision,
                            **ids(trace),
                        },
                    )
                    acked = stored.take_ack_ids() if number == last else ()
                    yield Outgoing((verdict,), acked, trace)
                case Discard(message=message, error=error):
                    yield self._discarded(stored, message, error)
                case Forget():
                    yield from _acks(stored)
                    stored.opened = False
        if stored.case.decided:
            yield from _acks(stored)

    def _discarded(self, stored: StoredCase, message: Message, error: str) -> Any:
        """One dead letter, with the ack ids of all deliveries of the message."""
        orphan = stored.take_orphan(message)
        stage = f"{STAGE}.{orphan.received.stream}"
        self._meter.dead_letter(stage)
        letters = dead_letter(orphan.received, stage, error)
        return beam.pvalue.TaggedOutput("dead", replace(letters, ack_ids=tuple(orphan.ack_ids)))


def _acks(stored: StoredCase) -> Iterator[Outgoing]:
    """Messages that change nothing are acked without a verdict."""
    if ack_ids := stored.take_ack_ids():
        yield Outgoing((), ack_ids)
