"""The state of a case from what was recorded of it, where the case itself is gone."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime

from quorum.aggregator.case.clock import span
from quorum.aggregator.case.evidence import keep_order, keep_prediction, keep_review
from quorum.aggregator.case.outcome import recorded_account, recorded_effect, recorded_plan
from quorum.aggregator.case.state import MAX_EARLIER, CaseState, KeptVerdict
from quorum.aggregator.decision.compact import micros
from quorum.aggregator.decision.facts import Uploader
from quorum.aggregator.policy.policy import Policy
from quorum.core.messages import Prediction, Review, Upload, Verdict

__all__ = ["edited_state", "resumed_state"]


def resumed_state(
    policy: Policy,
    upload: Upload,
    predictions: Iterable[Prediction],
    reviews: Iterable[Review],
    last: Verdict | None,
    uploader: Uploader | None,
    earlier: Iterable[Verdict],
) -> CaseState:
    """The state of a case whose content that holds was recorded. See ``Case.resume``."""
    state = CaseState(upload=upload)
    state.contents.replace(upload.digest, micros(upload.published_at))
    if uploader is not None:
        state.uploader = uploader
    known = tuple(predictions)
    for content in sorted({one.digest for one in known if one.digest is not None}):
        state.contents.add_former(content)
    others = sorted((one for one in earlier if one != last), key=_by_order)
    for verdict in (*others, *(() if last is None else (last,))):
        content = state.contents.of_verdict(verdict)
        if content != upload.digest:
            state.contents.add_former(content)
            state.contents.add_former_verdicts([verdict.id])
    for prediction in known:
        keep_prediction(state, policy, prediction)
    for review in sorted(reviews, key=lambda one: one.at):
        keep_review(state, policy, review)
    if last is not None:
        state.verdict = _kept(last, state.contents.of_verdict(last), others)
        state.opened = state.verdict.at - span(last.latency)
        state.features, state.campaigns = last.features or {}, last.campaigns or ()
        if state.decided:
            state.since = {rule: micros(at) for rule, at in (last.since or {}).items()}
    return state


def edited_state(earlier: Sequence[Verdict], reviews: Iterable[Review]) -> CaseState:
    """The state of a case whose upload will be an edit. See ``Case.of_edit``."""
    state = CaseState()
    *others, last = earlier
    state.verdict = _kept(last, last.digest or "", others)
    state.contents.follow([one.digest or "" for one in earlier])
    known = sorted(reviews, key=lambda one: (one.at, one.event_id()))
    for review in known:
        keep_order(state, review)
    newest = max(known, key=lambda one: (one.at, one.event_id()), default=None)
    state.contents.overruled = None if newest is None else newest.action.value
    return state


def _kept(verdict: Verdict, content: str, earlier: Sequence[Verdict]) -> KeptVerdict:
    return KeptVerdict(
        verdict.id,
        recorded_effect(verdict),
        verdict.revision,
        micros(verdict.at),
        verdict.decided_by,
        content,
        tuple(one.id for one in earlier)[-MAX_EARLIER:],
        recorded_account(verdict),
        recorded_plan(verdict),
    )


def _by_order(verdict: Verdict) -> tuple[datetime, int, datetime, str]:
    return verdict.order
