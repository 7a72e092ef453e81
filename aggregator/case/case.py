"""The case: the state machine of one upload, from its arrival until it is forgotten.

A plain class, driven from outside: each ``on_…`` takes one event and the time, and returns the
effects that the caller carries out. The caller asks ``notify_at`` when to call ``on_deadline``,
and keeps ``snapshot`` between events. Events may come in any order, twice, late or never.

Only ``quorum.aggregator.decider`` makes cases.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Final

from quorum.aggregator.case.cap import EDITED_AFTER_REVIEW
from quorum.aggregator.case.clock import at_micros, forget_at, next_wake, outstanding, span
from quorum.aggregator.case.contents import Relation
from quorum.aggregator.case.effects import Discard, Effect, Emit, Forget, with_reply
from quorum.aggregator.case.evidence import keep_prediction, keep_review
from quorum.aggregator.case.orphans import MAX_ORPHANS
from quorum.aggregator.case.outcome import account_of, changes, effect_of
from quorum.aggregator.case.recorded import edited_state, resumed_state
from quorum.aggregator.case.state import MAX_EARLIER, CaseState, KeptVerdict
from quorum.aggregator.decision.accounts import AccountChoice
from quorum.aggregator.decision.compact import CompactPrediction, micros
from quorum.aggregator.decision.evaluate import Decision, Evaluation, Uploader, evaluate
from quorum.aggregator.decision.rules import compiled
from quorum.aggregator.decision.steps import Plan, clocks, passed, plan
from quorum.aggregator.decision.verdicts import Overruling, make_verdict
from quorum.aggregator.policy.policy import Policy
from quorum.core.messages import Action, Campaign, Prediction, Review, Upload, Verdict

__all__ = ["Case", "Discard", "Effect", "Emit", "Forget"]

_TOO_MANY_ORPHANS = "too many messages wait for its upload, which did not arrive"
_ORPHAN = "its upload did not arrive within {wait:g} s"
_UNKNOWN_VERDICT = "it names no verdict on its upload"
_ORPHAN_AT_END = "its upload did not arrive before the input ended"
_OTHER_CONTENT = "the content of its upload that it is about did not arrive"
_NO_REASONS: Final[Mapping[str, str]] = {}


class Case:
    """One upload's case.

    Args:
        policy: Decides it. A restored case may be given another policy than it was made with.
        shadows: Policies in shadow: each verdict lists what each of them would have decided.
    """

    def __init__(self, policy: Policy, shadows: Sequence[Policy] = ()) -> None:
        self._given = policy
        self._shadows = tuple(shadows)
        self._state = CaseState()

    @classmethod
    def restore(cls, policy: Policy, snapshot: bytes, shadows: Sequence[Policy] = ()) -> Case:
        """The case as it was when ``snapshot`` was taken.

        Raises:
            InputError: If another version of this software took it, in another format.
        """
        case = cls(policy, shadows)
        case._state = CaseState.from_bytes(snapshot)
        return case

    @classmethod
    def resume(
        cls,
        policy: Policy,
        upload: Upload,
        predictions: Iterable[Prediction],
        reviews: Iterable[Review] = (),
        last: Verdict | None = None,
        uploader: Uploader | None = None,
        shadows: Sequence[Policy] = (),
        earlier: Iterable[Verdict] = (),
    ) -> Case:
        """A case whose state is gone, from what was recorded of it; nothing is emitted.

        Args:
            policy: Decides from now on; another one than before for a roll-back.
            upload: The event, with the content that holds.
            predictions: All that were recorded, in any order; those of earlier contents do not
                count.
            reviews: Those that count, in any order.
            last: The verdict with the greatest ``order``.
            uploader: Past verdicts on its uploader.
            shadows: Policies in shadow.
            earlier: The other verdicts, in any order; ``last`` may be among them.
        """
        case = cls(policy, shadows)
        side = policy.decides(upload.uploader, upload.id)
        case._state = resumed_state(side, upload, predictions, reviews, last, uploader, earlier)
        return case

    @classmethod
    def of_edit(
        cls,
        policy: Policy,
        earlier: Sequence[Verdict],
        reviews: Iterable[Review] = (),
        shadows: Sequence[Policy] = (),
    ) -> Case:
        """A case whose upload, when it arrives, is an edit of what was decided before.

        Args:
            policy: Decides.
            earlier: The verdicts on the earlier contents, in their order; at least one.
            reviews: Those that count, of these verdicts.
            shadows: Policies in shadow.
        """
        case = cls(policy, shadows)
        case._state = edited_state(earlier, reviews)
        return case

    def decide_under(self, policy: Policy, shadows: Sequence[Policy] = ()) -> None:
        """Decide by another policy from the next event on; nothing is emitted.

        The case is due when it was, or earlier: a deadline that was promised is kept.
        """
        self._given, self._shadows = policy, tuple(shadows)

    @property
    def _policy(self) -> Policy:
        """Decides it: with a rollout, the side that its uploader is on."""
        return self._side(self._given)

    def _side(self, policy: Policy) -> Policy:
        if policy.rollout is None or not self._state.has_upload:
            return policy
        upload = self._state.facts()
        return policy.decides(upload.uploader, upload.id)

    @property
    def decided(self) -> bool:
        """Whether the content that holds has a verdict."""
        return self._state.decided

    def lacks(self, content: str | None) -> bool:
        """Whether a prediction of this content is ahead of its upload, and waits in the case.

        Args:
            content: ``Prediction.digest``.
        """
        state = self._state
        return not state.has_upload or state.contents.relation(content) is Relation.UNKNOWN

    def snapshot(self) -> bytes:
        """The state until the next event, as bytes; see ``quorum.aggregator.case.state``."""
        return self._state.to_bytes(self._read_fields())

    def notify_at(self) -> datetime | None:
        """When ``on_deadline`` is to be called, or None for never."""
        wake = self._state.wake
        return None if wake is None else at_micros(wake)

    def on_arrival(
        self,
        upload: Upload,
        predictions: Iterable[Prediction | CompactPrediction],
        now: datetime,
        *,
        arrived: datetime | None = None,
        uploader: Uploader | None = None,
        upload_json: str | bytes | None = None,
        features: Mapping[str, float] | None = None,
        campaigns: tuple[Campaign, ...] = (),
    ) -> Sequence[Effect]:
        """The upload arrived together with predictions; decides at most once.

        If the upload arrives again with the same content, only its predictions count. With other
        content that was published no earlier it is an edit: what was known of the earlier content
        counts no longer, and its verdict supersedes the earlier one whatever the action. With
        content that was published earlier it is late, and changes nothing.

        Args:
            upload: The upload.
            predictions: Those that were made before it reached this case.
            now: The time.
            arrived: When the upload was taken from its stream; deadlines and latency count from
                here. By default ``now``.
            uploader: Past verdicts on its uploader, where they are known.
            upload_json: The upload's JSON as it arrived, so that it is not serialised again.
            features: Its values of features over time, by ``Feature.key``.
            campaigns: The waves that it is part of.
        """
        if not self._state.contents.takes(upload.digest, micros(upload.published_at)):
            return self._again(upload, predictions, now)
        self._open(upload, now if arrived is None else min(arrived, now), uploader)
        self._state.upload_json = upload_json
        self._state.features, self._state.campaigns = features or {}, campaigns
        for prediction in predictions:
            keep_prediction(self._state, self._policy, prediction, upload.digest)
        return self._reconsider(now)

    def on_upload(
        self,
        upload: Upload,
        now: datetime,
        arrived: datetime | None = None,
        uploader: Uploader | None = None,
    ) -> Sequence[Effect]:
        """The upload arrived, first, again, or edited. See ``on_arrival``."""
        return self.on_arrival(upload, (), now, arrived=arrived, uploader=uploader)

    def on_prediction(
        self, prediction: Prediction | CompactPrediction, now: datetime
    ) -> Sequence[Effect]:
        """A prediction arrived, first or again, in time or late.

        Args:
            prediction: Whole if the case ``lacks`` its content: it may become a dead letter.
            now: The time.
        """
        if self.lacks(prediction.digest):
            if isinstance(prediction, CompactPrediction):
                if self._state.has_upload:
                    return ()  # of a content so old that it is no longer remembered
                msg = "a prediction whose upload is unknown must be whole"
                raise TypeError(msg)
            hold = self._hold_ahead if self._state.has_upload else self._hold
            return hold(prediction, now)
        if not keep_prediction(self._state, self._policy, prediction):
            return self._reconsider(now) if self._is_due(now) else ()
        return self._reconsider(now)

    def on_review(
        self, review: Review, now: datetime, *, recorded: Verdict | None = None
    ) -> Sequence[Effect]:
        """A human decided; from now on no prediction changes the action of this content.

        A review counts if it names a verdict on its upload. One that comes before the first verdict
        waits for it; one that names none is discarded. A review of an earlier content does not
        decide the one that holds; where the policy treats that more mildly than the reviewer did, a
        human is asked again.

        Args:
            review: The review.
            now: The time.
            recorded: The verdict that it names, if the ledger has it as one of this upload.
        """
        if not self._state.has_upload:
            return self._hold(review, now)
        contents = self._state.contents
        if recorded is None and not self.knows_verdict(review.verdict_id):
            if self._state.verdict is not None:
                return (Discard(review, _UNKNOWN_VERDICT),)
            return self._hold_until_verdict(review, now)
        if recorded is not None and contents.of_verdict(recorded) != contents.digest:
            contents.add_former(contents.of_verdict(recorded))
            contents.add_former_verdicts([recorded.id])
        keep_review(self._state, self._policy, review)
        effects = self._reconsider(now)
        return effects if review.reply is None else with_reply(effects, review.reply)

    def knows_verdict(self, verdict_id: str) -> bool:
        """Whether this is the id of the case's verdict, or of one that it supersedes."""
        verdict = self._state.verdict
        return verdict is not None and verdict.is_or_supersedes(verdict_id)

    def on_deadline(self, now: datetime) -> Sequence[Effect]:
        """The timer fired, perhaps early, late or twice."""
        state = self._state
        if not self._is_due(now):
            return ()
        if not state.has_upload:
            return (*self._discard_orphans(self._late_orphan()), *self._forget())
        at = micros(now)
        until = state.ahead.until
        expired = self._discard_ahead() if until is not None and at >= until else ()
        decided = state.verdict if state.decided else None
        if decided is not None and at >= forget_at(state, self._policy, decided):
            # A timer may be so late that a step is due at the end of the retention.
            steps = self._reconsider(now) if state.since else ()
            return (*expired, *steps) if steps else (*expired, *self._forget())
        return (*expired, *self._reconsider(now))

    def on_replay(self, now: datetime) -> Sequence[Effect]:
        """Decide again with all that is known, as after the deadline.

        Gives the next revision where the action changes, else nothing; so a replay of what was
        already replayed gives nothing. What a reviewer decided stays.
        """
        state = self._state
        decided = state.verdict if state.decided else None
        if decided is not None and decided.decided_by == "reviewer":
            return ()
        if state.opened == 0:
            state.opened = micros(now)
        return self._reconsider(now, ended=True)

    def discard(self, message: Prediction | Review, error: str) -> Sequence[Effect]:
        """Discard a message that waits for its upload or its verdict; nothing if none does."""
        state = self._state
        if not state.orphans.remove(message):
            return ()
        discarded = Discard(message, error)
        if state.orphans or state.has_upload:
            return (discarded,)
        return (discarded, *self._forget())

    def on_end(self, now: datetime) -> Sequence[Effect]:
        """Nothing else will come: decide with what is there, and end the case."""
        state = self._state
        if not state.has_upload:
            return (*self._discard_orphans(_ORPHAN_AT_END), *self._forget())
        return (*self._reconsider(now, ended=True), *self._forget())

    def _open(self, upload: Upload, arrived: datetime, uploader: Uploader | None) -> None:
        """Let the content of an upload hold: the first one, or an edit."""
        state = self._state
        if state.review is not None:
            state.contents.overruled = state.review.action
        if state.verdict is not None:
            state.contents.add_former_verdicts((*state.verdict.earlier, state.verdict.id))
        state.contents.replace(upload.digest, micros(upload.published_at))
        state.upload, state.kept_fields, state.kept_upload = upload, None, None
        state.predictions, state.review, state.since = {}, None, {}
        state.opened = micros(arrived)
        if uploader is not None:
            state.uploader = uploader
        self._sort_orphans()

    def _sort_orphans(self) -> None:
        """Take in the predictions whose content is known now, and drop those of earlier ones."""
        state = self._state
        for text in state.orphans.take_predictions():
            state.ahead.add(text, state.wake or 0)
        for prediction in state.ahead.take(lambda one: self.lacks(one.digest)):
            keep_prediction(self._state, self._policy, prediction)

    def _again(
        self,
        upload: Upload,
        predictions: Iterable[Prediction | CompactPrediction],
        now: datetime,
    ) -> Sequence[Effect]:
        """The upload arrived once more: a duplicate, or an earlier content that is late."""
        if upload.digest != self._state.contents.digest:
            self._state.contents.add_former(upload.digest)
            self._sort_orphans()
        changed = [
            keep_prediction(self._state, self._policy, one, upload.digest) for one in predictions
        ]
        return self._reconsider(now) if any(changed) or self._is_due(now) else ()

    def _hold(self, message: Prediction | Review, now: datetime) -> Sequence[Effect]:
        """Keep a message whose upload is unknown."""
        state = self._state
        if state.wake is None:
            state.wake = micros(now) + span(self._policy.orphan_wait)
        elif self._is_due(now):
            return (Discard(message, self._late_orphan()), *self.on_deadline(now))
        return () if state.orphans.add(message) else (Discard(message, _TOO_MANY_ORPHANS),)

    def _hold_ahead(self, prediction: Prediction, now: datetime) -> Sequence[Effect]:
        """Keep a prediction of a content that did not arrive yet."""
        effects = self.on_deadline(now)
        if not self._state.has_upload:
            return (*effects, *self._hold(prediction, now))
        ahead = self._state.ahead
        if len(ahead.texts) >= MAX_ORPHANS:
            return (*effects, Discard(prediction, _TOO_MANY_ORPHANS))
        ahead.add(prediction.model_dump_json(), micros(now) + span(self._policy.orphan_wait))
        if self._state.wake is not None and ahead.until is not None:
            self._state.wake = min(self._state.wake, ahead.until)
        return effects

    def _hold_until_verdict(self, review: Review, now: datetime) -> Sequence[Effect]:
        """Keep a review that came before the first verdict."""
        if not self._state.orphans.add(review):
            return (Discard(review, _UNKNOWN_VERDICT),)
        return self._reconsider(now) if self._is_due(now) else ()

    def _release_reviews(self) -> tuple[Discard, ...]:
        """Count the reviews that waited for the first verdict, or discard them."""
        discarded = []
        for review in self._state.orphans.take():
            if isinstance(review, Review) and self.knows_verdict(review.verdict_id):
                keep_review(self._state, self._policy, review)
            else:
                discarded.append(Discard(review, _UNKNOWN_VERDICT))
        return tuple(discarded)

    def _discard_orphans(self, error: str) -> Sequence[Effect]:
        return tuple(Discard(message, error) for message in self._state.orphans.take())

    def _late_orphan(self) -> str:
        return _ORPHAN.format(wait=self._policy.orphan_wait)

    def _discard_ahead(self) -> Sequence[Effect]:
        ahead = self._state.ahead.take(lambda _: False)
        return tuple(Discard(prediction, _OTHER_CONTENT) for prediction in ahead)

    def _forget(self) -> Sequence[Effect]:
        discarded = self._discard_ahead()
        self._state = CaseState()
        return (*discarded, Forget())

    def _read_fields(self) -> frozenset[str]:
        """The fields of the upload that the policies read."""
        sides = (one for policy in (self._given, *self._shadows) for one in policy.sides)
        return frozenset[str]().union(*(compiled(one).upload_fields for one in sides))

    def _has_facts(self) -> bool:
        """Whether the state holds all fields of the upload that the policies read."""
        return self._state.kept_fields is None or self._state.knows(self._read_fields())

    def _is_due(self, now: datetime) -> bool:
        return self._state.wake is not None and micros(now) >= self._state.wake

    def _evaluate(
        self, policy: Policy, awaited: Iterable[str], passed: frozenset[str] = frozenset()
    ) -> Evaluation:
        state = self._state
        return evaluate(
            policy,
            state.facts,
            state.predictions.values(),
            _NO_REASONS,
            frozenset(awaited),
            state.uploader,
            passed,
            state.features,
        )

    def _plan(self, decision: Decision, awaited: Iterable[str], at: int) -> Plan | None:
        """What time alone will bring, as things stand."""
        state = self._state
        if state.review is not None or not state.since:
            return None
        return plan(
            self._policy,
            state.since,
            at,
            effect_of(state, decision),
            lambda gone: self._held_for_review(self._evaluate(self._given, awaited, gone).decision),
            lambda one: effect_of(state, one),
        )

    def _reconsider(self, now: datetime, *, ended: bool = False) -> Sequence[Effect]:
        """Decide again with what is known; a verdict if that gives another action."""
        state = self._state
        if state.verdict is not None and state.review is None and not self._has_facts():
            # Another policy reads what is no longer kept: the verdict holds.
            state.wake = next_wake(state, self._policy, micros(now), {}, settled=True)
            return ()
        at = micros(now)
        awaited = {} if ended else outstanding(state, self._policy, at)
        gone = passed(self._policy, state.since, at)
        evaluation = self._evaluate(self._given, awaited, gone)
        case_is_due = ended or at >= state.opened + span(self._policy.deadline)
        effects: Sequence[Effect] = ()
        if state.review is not None or evaluation.settled or case_is_due:
            state.since = clocks(self._policy, state.since, evaluation.decision.matched, at)
            decision = self._held_for_review(evaluation.decision)
            later = self._plan(decision, awaited, at)
            later_effect = "" if later is None else later.effect
            effect, account = effect_of(state, decision), account_of(state, self._policy, decision)
            account_effect = "" if account is None else account.effect
            if changes(state, effect, account_effect, later_effect):
                outcomes = [self._shadow_outcome(one, at, ended=ended) for one in self._shadows]
                verdict = self._verdict(decision, awaited, now, outcomes, account, later)
                past = state.verdict
                superseded = () if past is None else (*past.earlier, past.id)
                state.verdict = KeptVerdict(
                    verdict.id,
                    effect,
                    verdict.revision,
                    at,
                    verdict.decided_by,
                    state.contents.digest,
                    superseded[-MAX_EARLIER:],
                    account_effect,
                    later_effect,
                )
                effects = (Emit(verdict),)
        state.wake = next_wake(state, self._policy, at, awaited, settled=evaluation.settled)
        if state.verdict is not None and state.orphans:
            discards = self._release_reviews()
            effects = (*discards, *effects, *self._reconsider(now, ended=ended))
        return effects

    def _held_for_review(self, decision: Decision) -> Decision:
        """The decision, or a review of an edit that must not undo what a reviewer decided.

        Else whoever a reviewer restricted would only have to change a word.
        """
        overruled = self._state.contents.overruled
        if overruled is None or decision.action.severity >= Action(overruled).severity:
            return decision
        reason = (
            f"A reviewer decided {overruled} on an earlier content, and the policy decides "
            f"{decision.action} on this one."
        )
        return replace(
            decision,
            action=Action.REVIEW,
            rule=EDITED_AFTER_REVIEW,
            reasons=(reason, *decision.reasons),
            territories=(),
        )

    def _verdict(
        self,
        decision: Decision,
        awaited: Mapping[str, int],
        now: datetime,
        outcomes: list[dict[str, str]],
        account: AccountChoice | None,
        later: Plan | None,
    ) -> Verdict:
        """The verdict of a decision, or of the review that overrules it."""
        state = self._state
        past, review = state.verdict, state.review
        return make_verdict(
            self._policy,
            state.facts(),
            decision,
            content=state.contents.digest,
            published=at_micros(state.contents.published),
            past=None if past is None else (past.revision, past.id),
            review=None
            if review is None
            else Overruling(review.id, Action(review.action), review.category, review.account),
            late=any(name not in awaited for name, _ in decision.missing),
            now=now,
            latency=max(0, micros(now) - state.opened) / 1e6,
            shadow_outcomes=outcomes,
            account=account,
            strikes=state.uploader.strikes,
            later=later,
            since=state.since if review is None else {},
            features=state.features,
            campaigns=state.campaigns,
        )

    def _shadow_outcome(self, policy: Policy, at: int, *, ended: bool) -> dict[str, str]:
        """What a policy in shadow would decide now, or the type of the error that it raised.

        The live policy may decide before the one in shadow would: then ``waiting_for`` names the
        detectors whose predictions may still change the latter's action.
        """
        policy = self._side(policy)
        awaited = {} if ended else outstanding(self._state, policy, at)
        try:
            gone = passed(policy, self._state.since, at)
            evaluation = self._evaluate(policy, awaited, gone)
        except Exception as error:
            return {"policy_version": policy.version, "error": type(error).__name__}
        outcome = {
            "policy_version": policy.version,
            "action": evaluation.decision.action.value,
            "rule": evaluation.decision.rule,
        }
        return outcome if evaluation.settled else outcome | {"waiting_for": ", ".join(awaited)}
