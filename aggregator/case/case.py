"""The case: all of one upload's life, from its arrival until it is forgotten.

A plain class, driven from outside: each ``on_…`` takes one event and the time, and returns what
is to be done. The caller asks ``notify_at`` when to call ``on_deadline``, and keeps
``snapshot`` between events. Events may come in any order, twice, late or never.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import Final, NamedTuple

from quorum.aggregator.case.effects import Discard, Effect, Emit, Forget
from quorum.aggregator.decision.compact import CompactPrediction, micros
from quorum.aggregator.decision.evaluate import Decision, Uploader, evaluate
from quorum.aggregator.decision.verdicts import Overruled, local_actions, make_verdict
from quorum.aggregator.policy.policy import Policy
from quorum.core.messages import Action, Prediction, Review, Upload, Verdict

__all__ = ["Case", "Discard", "Effect", "Emit", "Forget"]

#: Detectors that the policy does not name, and shadows, whose predictions a case keeps (the first
#: by name): the stream is open to all, and a flood of invented detectors must not fill the state.
MAX_STRANGERS: Final = 50
#: Messages that wait for one unknown upload; more end as dead letters at once, for the same reason.
MAX_ORPHANS: Final = 200

_CROWD = "too many messages wait for its upload, which did not arrive"
_ORPHAN = "its upload did not arrive within {wait:g} s"
_ORPHAN_AT_END = "its upload did not arrive before the input ended"


class _Given(NamedTuple):
    """What the case keeps of a verdict or a review."""

    id: str
    #: The action, and for a verdict the territories with another one.
    action: str
    revision: int
    at: int
    #: What decided; empty for a review.
    by: str = ""
    #: The harm that a reviewer named.
    category: str | None = None


class Case:
    """One upload's case.

    Args:
        policy: Decides it. A restored case may be given another policy than it was made with.
        shadows: Policies that only watch: what each would have decided is told in the verdict.
    """

    def __init__(self, policy: Policy, shadows: Sequence[Policy] = ()) -> None:
        self._policy = policy
        self._shadows = tuple(shadows)
        self._clear()

    def _clear(self) -> None:
        #: JSON of the upload, None while it is unknown.
        self._upload: str | None = None
        self._opened = 0
        self._uploader = Uploader()
        self._heard: dict[str, CompactPrediction] = {}
        #: JSON of messages whose upload is unknown.
        self._orphans: list[tuple[str, str]] = []
        self._verdict: _Given | None = None
        self._review: _Given | None = None
        self._wake: int | None = None
        self.__dict__.pop("_facts", None)

    @classmethod
    def restore(cls, policy: Policy, snapshot: bytes, shadows: Sequence[Policy] = ()) -> Case:
        """The case as it was when ``snapshot`` was taken."""
        case = cls(policy, shadows)
        upload, opened, uploader, heard, orphans, verdict, review, wake = json.loads(snapshot)
        case._upload = upload
        case._opened = opened
        case._uploader = Uploader(*uploader)
        case._heard = {_key(one[1], one[8]): CompactPrediction(*one) for one in heard}
        case._orphans = [(kind, text) for kind, text in orphans]
        case._verdict = None if verdict is None else _Given(*verdict)
        case._review = None if review is None else _Given(*review)
        case._wake = wake
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
    ) -> Case:
        """A case whose state is gone, from what was recorded of it; nothing is emitted.

        Ask ``on_replay`` what the policy makes of it now.

        Args:
            policy: Decides from now on; another one than before for a roll-back.
            upload: The event.
            predictions: All that were recorded, in any order.
            reviews: All that were recorded, in any order.
            last: The verdict that holds.
            uploader: Past verdicts on its uploader.
        """
        case = cls(policy)
        case._upload = upload.model_dump_json()
        case.__dict__["_facts"] = upload
        case._uploader = uploader or Uploader()
        for prediction in predictions:
            case._hear(prediction)
        for review in reviews:
            case._take_review(review)
        if last is not None:
            local = local_actions(last)
            effect = last.action.value
            if last.decided_by != "reviewer":
                effect += "".join(f" {code}:{local[code]}" for code in sorted(local))
            at = micros(last.at)
            case._verdict = _Given(last.id, effect, last.revision, at, last.decided_by)
            case._opened = at - _span(last.latency)
        return case

    def on_replay(self, now: datetime) -> Sequence[Effect]:
        """Decide again with all that is known, as after the deadline.

        Gives the next revision where the action changes, else nothing; so a replay of what was
        already replayed gives nothing. What a reviewer decided stays.
        """
        if self._verdict is not None and self._verdict.by == "reviewer":
            return ()
        if self._opened == 0:
            self._opened = micros(now)
        return self._reconsider(now, ended=True)

    def snapshot(self) -> bytes:
        """All that is to be kept until the next event, as compact JSON."""
        return _ENCODER.encode(
            (
                self._upload,
                self._opened,
                (
                    self._uploader.strikes,
                    self._uploader.removals,
                    self._uploader.verdicts,
                    self._uploader.known,
                ),
                tuple(self._heard.values()),
                self._orphans,
                self._verdict,
                self._review,
                self._wake,
            )
        ).encode()

    def notify_at(self) -> datetime | None:
        """When ``on_deadline`` is to be called, or None for never."""
        return None if self._wake is None else _EPOCH + timedelta(microseconds=self._wake)

    def on_upload(
        self,
        upload: Upload,
        now: datetime,
        arrived: datetime | None = None,
        uploader: Uploader | None = None,
    ) -> Sequence[Effect]:
        """The upload arrived, first or again; only the first counts.

        Args:
            upload: The upload.
            now: The time.
            arrived: When it was taken from its stream, if detectors saw it before this case did;
                deadlines and latency count from here.
            uploader: Past verdicts on its uploader, where they are known.
        """
        if self._upload is not None:
            return ()
        self._upload = upload.model_dump_json()
        self.__dict__["_facts"] = upload
        self._opened = micros(now if arrived is None else min(arrived, now))
        self._uploader = uploader or Uploader()
        orphans, self._orphans = self._orphans, []
        for kind, text in orphans:
            if kind == Prediction.kind:
                self._hear(Prediction.model_validate_json(text))
            else:
                self._take_review(Review.model_validate_json(text))
        return self._reconsider(now)

    def on_prediction(self, prediction: Prediction, now: datetime) -> Sequence[Effect]:
        """A detector spoke, first or again, in time or late."""
        if self._upload is None:
            return self._wait(prediction, now)
        if not self._hear(prediction):
            return self._reconsider(now) if self._is_due(now) else ()
        return self._reconsider(now)

    def on_review(self, review: Review, now: datetime) -> Sequence[Effect]:
        """A human decided; from now on no prediction changes the action."""
        if self._upload is None:
            return self._wait(review, now)
        self._take_review(review)
        return self._reconsider(now)

    def on_deadline(self, now: datetime) -> Sequence[Effect]:
        """The timer fired, perhaps early, late or twice."""
        if self._wake is None or micros(now) < self._wake:
            return ()
        if self._upload is None:
            return self._give_up(_ORPHAN.format(wait=self._policy.orphan_wait))
        if self._verdict is not None and micros(now) >= self._verdict.at + _span(
            self._policy.retention
        ):
            return self._forget()
        return self._reconsider(now)

    def on_end(self, now: datetime) -> Sequence[Effect]:
        """Nothing else will come: decide with what is there, and end the case."""
        if self._upload is None:
            return self._give_up(_ORPHAN_AT_END) if self._orphans else self._forget()
        return (*self._reconsider(now, ended=True), *self._forget())

    def _wait(self, message: Prediction | Review, now: datetime) -> Sequence[Effect]:
        if self._wake is None:
            self._wake = micros(now) + _span(self._policy.orphan_wait)
        elif micros(now) >= self._wake:
            self._orphans.append((message.kind, message.model_dump_json()))
            return self._give_up(_ORPHAN.format(wait=self._policy.orphan_wait))
        text = message.model_dump_json()
        if (message.kind, text) in self._orphans:
            return ()
        if len(self._orphans) >= MAX_ORPHANS:
            return (Discard(message, _CROWD),)
        self._orphans.append((message.kind, text))
        return ()

    def _give_up(self, error: str) -> Sequence[Effect]:
        discards = tuple(
            Discard(
                (Prediction if kind == Prediction.kind else Review).model_validate_json(text),
                error,
            )
            for kind, text in self._orphans
        )
        return (*discards, *self._forget())

    def _forget(self) -> Sequence[Effect]:
        self._clear()
        return (Forget(),)

    def _hear(self, prediction: Prediction) -> bool:
        """Keep a prediction if it counts more than what is there; whether it did."""
        heard = CompactPrediction.of(prediction)
        key = _key(heard.detector, heard.shadow)
        known = self._heard.get(key)
        if known is not None and known.rank >= heard.rank:
            return False
        self._heard[key] = heard
        strangers = sorted(name for name in self._heard if name not in self._policy.detectors)
        for name in strangers[MAX_STRANGERS:]:
            del self._heard[name]
        return key in self._heard

    def _take_review(self, review: Review) -> None:
        roots = (label.split("/", 1)[0] for label in review.labels)
        category = next((root for root in roots if root in self._policy.categories), None)
        at = micros(review.at)
        given = _Given(review.event_id(), review.action.value, 0, at, category=category)
        known = self._review
        if known is None or (known.at, known.id) < (given.at, given.id):
            self._review = given

    @cached_property
    def _facts(self) -> Upload:
        return Upload.model_validate_json(self._upload or "")

    def _deadlines(self, policy: Policy) -> Iterator[tuple[str, int]]:
        """Detectors of a policy that have not answered, and when they count as missing."""
        end = self._opened + _span(policy.deadline)
        for name, detector in policy.detectors.items():
            if not detector.shadow and name not in self._heard:
                yield name, min(self._opened + _span(detector.deadline), end)

    def _waiting(self, policy: Policy, at: int) -> list[tuple[str, int]]:
        return [(name, when) for name, when in self._deadlines(policy) if when > at]

    def _is_due(self, now: datetime) -> bool:
        return self._wake is not None and micros(now) >= self._wake

    def _reconsider(self, now: datetime, *, ended: bool = False) -> Sequence[Effect]:
        """Decide again with what is known, and say so if that gives another action."""
        at = micros(now)
        waiting = [] if ended else self._waiting(self._policy, at)
        weighed = evaluate(
            self._policy,
            lambda: self._facts,
            self._heard.values(),
            {},
            frozenset(name for name, _ in waiting),
            self._uploader,
        )
        case_is_due = ended or at >= self._opened + _span(self._policy.deadline)
        effects: Sequence[Effect] = ()
        if self._review is not None or weighed.settled or case_is_due:
            effect = self._effect(weighed.decision)
            if self._verdict is None or self._verdict.action != effect or self._confirms():
                watched = [self._watch(policy, at, ended=ended) for policy in self._shadows]
                verdict = self._judge(weighed.decision, waiting, now, watched)
                self._verdict = _Given(verdict.id, effect, verdict.revision, at, verdict.decided_by)
                effects = (Emit(verdict),)
        self._wake = self._next_wake(at, waiting, weighed.settled)
        return effects

    def _effect(self, decision: Decision) -> str:
        """What happens to the upload, as text: the same text means nothing changes."""
        if self._review is not None:
            return self._review.action
        local = "".join(f" {code}:{action}" for code, action in decision.territories)
        return f"{decision.action.value}{local}"

    def _confirms(self) -> bool:
        """Whether a reviewer upholds a removal that a cap may have turned into a review.

        The cap acts behind the case, which cannot know; so the reviewer's removal is said again.
        """
        past = self._verdict
        return (
            past is not None
            and past.by not in ("", "reviewer")
            and past.action == Action.REMOVE.value
            and self._review is not None
            and self._review.action == Action.REMOVE.value
        )

    def _next_wake(self, at: int, waiting: list[tuple[str, int]], settled: bool) -> int:
        if self._verdict is None or (waiting and not settled and self._review is None):
            end = self._opened + _span(self._policy.deadline)
            return min([when for _, when in waiting], default=max(end, at))
        return self._verdict.at + _span(self._policy.retention)

    def _judge(
        self,
        decision: Decision,
        waiting: list[tuple[str, int]],
        now: datetime,
        watched: list[dict[str, str]],
    ) -> Verdict:
        """The verdict that a decision, or the review that overrules it, gives."""
        past, review = self._verdict, self._review
        awaited = {name for name, _ in waiting}
        return make_verdict(
            self._policy,
            self._facts,
            decision,
            past=None if past is None else (past.revision, past.id),
            review=None
            if review is None
            else Overruled(review.id, Action(review.action), review.category),
            late=any(name not in awaited for name, _ in decision.missing),
            now=now,
            latency=max(0, micros(now) - self._opened) / 1e6,
            watched=watched,
        )

    def _watch(self, policy: Policy, at: int, *, ended: bool) -> dict[str, str]:
        """What a policy in shadow makes of what is known; where it fails, that is told.

        The live policy may decide before the one in shadow would: then ``waiting_for`` names the
        detectors whose answers may still change what the latter says.
        """
        waiting = [] if ended else [name for name, _ in self._waiting(policy, at)]
        try:
            made = evaluate(
                policy,
                lambda: self._facts,
                self._heard.values(),
                {},
                frozenset(waiting),
                self._uploader,
            )
        except Exception as error:
            return {"policy_version": policy.version, "error": type(error).__name__}
        told = {
            "policy_version": policy.version,
            "action": made.decision.action.value,
            "rule": made.decision.rule,
        }
        return told if made.settled else told | {"waiting_for": ", ".join(waiting)}


_ENCODER = json.JSONEncoder(
    ensure_ascii=False, check_circular=False, separators=(",", ":"), allow_nan=False
)


_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def _span(seconds: float) -> int:
    return round(seconds * 1_000_000)


def _key(detector: str, shadow: bool) -> str:
    return f"{detector}\0shadow" if shadow else detector
