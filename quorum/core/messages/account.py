"""The decision on an uploader's account, which a verdict on an upload may carry."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from pydantic import Field

from quorum.core.messages.fields import Identifier, Time
from quorum.core.messages.message import Value

__all__ = ["AccountAction", "AccountState", "AccountVerdict"]


class AccountAction(StrEnum):
    """What happens to an account, from mild to severe."""

    WARN = "warn"
    """Its owner is told what follows from more of the same."""
    SUSPEND = "suspend"
    """It may not upload, for a time or until a person lifts it."""
    BAN = "ban"
    """It is closed; two people decided so, and only people lift it."""


class AccountState(StrEnum):
    """Whether a decision on an account is in force."""

    PROPOSED = "proposed"
    """Nothing happens until a human confirms it by a review."""
    HOLDS = "holds"
    """The platform carries it out."""


class AccountVerdict(Value):
    """The decision on an uploader's account, as part of the verdict on one of their uploads.

    It holds as long as that verdict does: a later revision without one, as after an appeal, lifts
    it. An account is suspended while any of its uploads' verdicts says so. What a person decided
    on the account itself, with a reason of its own, stays in later revisions until a person lifts
    it, or decides more mildly on the upload.
    """

    id: Identifier
    """A digest of the uploader, the upload, the revision, the policy and the action."""
    uploader: Identifier
    """The account."""
    action: AccountAction
    """What happens to it."""
    state: AccountState
    """Whether a human must confirm it first."""
    revision: Annotated[int, Field(ge=1)]
    """That of the verdict that carries it."""
    rule: str
    """The rule that asked for it, or ``review``."""
    reason: str
    """A sentence that a person can read."""
    strikes: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 0.0
    """The uploader's strikes when it was decided, without this upload's."""
    until: Time | None = None
    """When it ends; absent where a person must lift it."""
    statement: str | None = None
    """The statement of reasons for the account's owner; only where it holds."""
    review: Identifier | None = None
    """The review that decided on the account itself, where a person gave a reason of its own."""
