"""What a case asks of whoever drives it."""

from __future__ import annotations

from dataclasses import dataclass

from quorum.core.messages import Prediction, Review, Verdict

__all__ = ["Discard", "Effect", "Emit", "Forget"]


@dataclass(frozen=True, slots=True)
class Emit:
    """Publish this verdict."""

    verdict: Verdict


@dataclass(frozen=True, slots=True)
class Discard:
    """Keep this message as a dead letter: it can decide nothing."""

    message: Prediction | Review
    error: str


@dataclass(frozen=True, slots=True)
class Forget:
    """The case is over: clear its state and its timer."""


Effect = Emit | Discard | Forget
