"""The effects of a case, which its caller carries out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from quorum.core.messages import Prediction, Review, Verdict

__all__ = ["Discard", "Effect", "Emit", "Forget", "with_reply"]


@dataclass(frozen=True, slots=True)
class Emit:
    """Publish this verdict."""

    verdict: Verdict


@dataclass(frozen=True, slots=True)
class Discard:
    """Write this message to the dead letters: it belongs to no upload."""

    message: Prediction | Review
    error: str


@dataclass(frozen=True, slots=True)
class Forget:
    """The case is over: clear its state and its timer."""


Effect = Emit | Discard | Forget


def with_reply(effects: Sequence[Effect], reply: str) -> Sequence[Effect]:
    """The effects of a review, with the reply to the uploader on the reviewer's verdict."""
    return tuple(
        Emit(one.verdict.model_copy(update={"reply": reply}))
        if isinstance(one, Emit) and one.verdict.decided_by == "reviewer"
        else one
        for one in effects
    )
