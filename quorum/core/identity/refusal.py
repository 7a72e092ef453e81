"""Why a message is refused for who sent it."""

from __future__ import annotations

from enum import StrEnum

from quorum.core.errors import InputError

__all__ = ["IdentityRefused", "Refusal"]


class Refusal(StrEnum):
    """The reasons, as the metric ``quorum_refused_messages`` counts them."""

    UNSIGNED = "unsigned"
    """A signature, its key or its publisher is not given."""
    UNKNOWN_PUBLISHER = "unknown_publisher"
    """The settings do not name the publisher."""
    UNKNOWN_KEY = "unknown_key"
    """The publisher has no key of that name."""
    EXPIRED_KEY = "expired_key"
    """The key is no longer accepted."""
    WRONG_SIGNATURE = "wrong_signature"
    """The message, an attribute or the signature was changed, or another key made it."""
    WRONG_STREAM = "wrong_stream"
    """It was signed for another stream."""
    NOT_ALLOWED = "not_allowed"
    """The publisher may not say this: its stream, its detector, its id."""


class IdentityRefused(InputError):
    """A message whose publisher is not known, or may not say it.

    Args:
        refusal: Why, for the metric.
        message: Why, in a sentence.
    """

    def __init__(self, refusal: Refusal, message: str) -> None:
        super().__init__(message)
        self.refusal = refusal
