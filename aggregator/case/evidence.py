"""What counts in a case: of each detector one prediction, and of all reviews the newest."""

from __future__ import annotations

from typing import Final

from quorum.aggregator.case.contents import Relation
from quorum.aggregator.case.state import CaseState, KeptOrder, KeptReview, prediction_key
from quorum.aggregator.decision.compact import CompactPrediction, micros
from quorum.aggregator.policy.policy import Policy
from quorum.core.messages import Action, Prediction, Review

__all__ = ["MAX_STRANGERS", "keep_order", "keep_prediction", "keep_review"]

#: Detectors that the policy does not name, and shadows, whose predictions a case keeps (the first
#: by name): the stream is open to all, and a flood of invented detectors must not fill the state.
MAX_STRANGERS: Final = 50


def keep_prediction(
    state: CaseState,
    policy: Policy,
    prediction: Prediction | CompactPrediction,
    arrived_with: str | None = None,
) -> bool:
    """Keep a prediction if it outranks the one of the same detector; whether it was kept.

    Args:
        state: The case that keeps it.
        policy: Names the detectors that are no strangers.
        prediction: The prediction; one of another content than the one that holds is not kept.
        arrived_with: The content that it arrived with, if it names none itself.
    """
    content = prediction.digest if prediction.digest is not None else arrived_with
    if state.contents.relation(content) is not Relation.CURRENT:
        return False
    if isinstance(prediction, CompactPrediction):
        added = prediction
    else:
        added = CompactPrediction.of(prediction)
    kept = state.predictions
    key = prediction_key(added.detector, added.shadow)
    known = kept.get(key)
    if known is not None and known.rank >= added.rank:
        return False
    kept[key] = added
    if known is not None or key in policy.detectors or key in policy.counts_as:
        return True
    named = policy.detectors.keys() | policy.counts_as.keys()
    strangers = [name for name in kept if name not in named]
    if len(strangers) > MAX_STRANGERS:
        for name in sorted(strangers)[MAX_STRANGERS:]:
            del kept[name]
    return key in kept


def keep_review(state: CaseState, policy: Policy, review: Review) -> None:
    """Keep a review if it is the newest of the content that holds.

    Args:
        state: The case that keeps it.
        policy: Its categories name the harm that the reviewer saw.
        review: The review; one of an earlier content is remembered as what was overruled.
    """
    keep_order(state, review)
    contents = state.contents
    if review.verdict_id in contents.former_verdicts:
        contents.overruled = review.action.value
        return
    roots = (label.split("/", 1)[0] for label in review.labels)
    category = next((root for root in roots if root in policy.categories), None)
    added = KeptReview(
        review.event_id(), review.action.value, micros(review.at), category, review.account
    )
    known = state.review
    if known is None or (known.at, known.id) < (added.at, added.id):
        state.review = added


def keep_order(state: CaseState, review: Review) -> None:
    """Keep what a review decides on the account itself; it counts whatever content it is of.

    A later review takes its place if it says something of the account, or decides more mildly on
    the upload.

    Args:
        state: The case that keeps it.
        review: The review.
    """
    known, at = state.order, micros(review.at)
    if known is not None and (known.at, known.review) >= (at, review.event_id()):
        return
    if review.account is not None and review.account_reason is not None:
        state.order = KeptOrder(
            review.event_id(),
            at,
            review.account,
            review.action.value,
            None if review.account_until is None else micros(review.account_until),
            review.account_reason,
        )
    elif known is not None and (
        review.account is not None or review.action.severity < Action(known.upload_action).severity
    ):
        state.order = None
