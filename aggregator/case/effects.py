"""The effects of a case, which its caller carries out."""

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
    """Write this message to the dead letters: it belongs to no upload."""

    message: Prediction | Review
    error: str


@dataclass(frozen=True, slots=True)
class Forget:
    """The case is over: clear its state and its timer."""


Effect = Emit | Discard | Forget
