"""What happens to the uploader's account: as the deciding rule asks, and as a reviewer says."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final, Literal

from quorum.aggregator.policy.policy import Policy
from quorum.core.messages import Action, digest
from quorum.core.messages.account import AccountAction, AccountState

__all__ = ["AccountChoice", "Said", "account_choice", "account_effect", "account_values"]

#: What a reviewer may say of the account.
Said = Literal["none", "warn", "suspend", "ban"]

_SAID_BY_REVIEWER: Final = "A reviewer decided on the account."


@dataclass(frozen=True, slots=True)
class AccountChoice:
    """A decision on an account before it is part of a verdict.

    Attributes:
        action: What happens.
        state: Whether a human must confirm it first.
        rule: What asked for it.
        reason: A sentence.
        seconds: How long it holds; None until a person lifts it.
        until: When it ends, where a person chose that.
        review: The review that decided on the account itself; None for a rule, or a review that
            only says what follows for the account.
    """

    action: AccountAction
    state: AccountState
    rule: str
    reason: str
    seconds: float | None
    until: datetime | None = None
    review: str | None = None

    @property
    def effect(self) -> str:
        """The same text means that nothing changes for the account."""
        return account_effect(self.action, self.state, self.review)


def account_effect(action: AccountAction, state: AccountState, review: str | None) -> str:
    """What a decision does to the account, as a case keeps it.

    Each review on the account itself is an effect of its own: a second warning is another one.
    """
    return f"{action}:{state}" if review is None else f"{action}:{state}:{review}"


def account_choice(
    policy: Policy,
    rule: str,
    action: Action,
    *,
    reviewed: Action | None = None,
    said: Said | None = None,
) -> AccountChoice | None:
    """What happens to the account of an uploader, by what decides on the upload.

    Args:
        policy: Its rules ask for actions on accounts.
        rule: What decides, as ``Decision.rule`` names it: no other rule that matches counts.
        action: What it decides on the upload.
        reviewed: What a reviewer decided on the upload instead.
        said: What the reviewer said of the account; None if nothing.

    Returns:
        None where nothing happens. A rule that a person must confirm gives a proposal, and so does
        one by which the upload itself waits for a human. A reviewer who says nothing of the account
        leaves things as they are, unless they are milder on the upload.
    """
    found = next((one for one in policy.rules if one.name == rule), None)
    asked = None if found is None else found.account
    if said == "none":
        return None
    if said is not None:
        same = asked is not None and asked.action == said
        return AccountChoice(
            action=AccountAction(said),
            state=AccountState.HOLDS,
            rule="review",
            reason=asked.reason if asked is not None and same else _SAID_BY_REVIEWER,
            seconds=asked.seconds if asked is not None and same else None,
        )
    if asked is None or (reviewed is not None and reviewed.severity < action.severity):
        return None
    decided = action in (Action.RESTRICT, Action.REMOVE)
    holds = asked.automatic and decided
    return AccountChoice(
        action=asked.action,
        state=AccountState.HOLDS if holds else AccountState.PROPOSED,
        rule=rule,
        reason=asked.reason,
        seconds=asked.seconds,
    )


def account_values(
    choice: AccountChoice,
    *,
    uploader: str,
    upload_id: str,
    revision: int,
    policy: Policy,
    strikes: float,
    now: datetime,
) -> dict[str, Any]:
    """The values of an ``AccountVerdict`` without its statement.

    Its id is a digest of the account, the upload, the revision, the policy's version, the rule and
    the effect.
    """
    until = choice.until
    if choice.seconds is not None:
        until = now + timedelta(seconds=choice.seconds)
    values: dict[str, Any] = {
        "id": digest(
            "account",
            uploader,
            upload_id,
            str(revision),
            policy.version,
            choice.rule,
            choice.effect,
        ),
        "uploader": uploader,
        "action": choice.action,
        "state": choice.state,
        "revision": revision,
        "rule": choice.rule,
        "reason": choice.reason,
        "strikes": round(strikes, 4),
        "until": until,
    }
    return values if choice.review is None else {**values, "review": choice.review}
