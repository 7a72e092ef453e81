"""The demo's second act: a wave of spam is found, contained and decided once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Protocol

from rich.console import Console

from quorum.aggregator.policy.policy import Policy, load_policy
from quorum.apps.demo.board import Board
from quorum.core.errors import QuorumError
from quorum.core.messages import Action, Campaign, Review, Upload, now

__all__ = ["Stage", "has_waves", "play_wave", "policy_with_waves"]

#: How the accounts call it, and how each ends: else their words are the same.
_TITLE = "The channel that everyone talks about"
_TEXT = (
    "I did not believe it at first, but this small channel made my whole week. Please have a look "
    "at it, tell all of your friends about it, and write to me what you think of it"
)
_ENDS = ("today", "tonight", "now", "soon", "this week", "tomorrow", "at once", "on Sunday")
_EVERY = timedelta(seconds=15)

_FEATURES = """
features:
  text_wave: {kind: wave, by: text, over: 10 min, uploads: 4, uploaders: 3}
"""
_RULE = """
  - name: wave
    when: feature("text_wave") > 0.0
    action: review
    category: spam
    reason: Many accounts sent nearly the same within minutes.
"""


class Stage(Protocol):
    """Where uploads and reviews become verdicts, as on a stream or in one process."""

    def play(
        self, messages: Sequence[bytes], board: Board, show: Callable[[], None], at_once: int
    ) -> None:
        """Have messages decided, at most so many at once, and put the answers on a board."""
        ...

    def decide(self, reviews: Sequence[Review], board: Board) -> None:
        """Have reviews taken, and put the verdicts that they lead to on a board."""
        ...


def policy_with_waves() -> str:
    """The text of ``balanced`` with a rule that holds waves."""
    text = load_policy("balanced").text.rstrip("\n").replace("name: balanced", "name: demo", 1)
    return f"{text}{_RULE}{_FEATURES}"


def has_waves(policy: Policy) -> bool:
    """Whether a policy looks for waves of texts."""
    return any(one.kind == "wave" and one.by == "text" for one in policy.features.values())


def _uploads() -> list[Upload]:
    at = now() - _EVERY * len(_ENDS)
    return [
        Upload(
            id=f"wave-{number}",
            uploader=f"account-{number}",
            title=_TITLE,
            description=f"{_TEXT} {end}.",
            published_at=at + _EVERY * number,
        )
        for number, end in enumerate(_ENDS, start=1)
    ]


def play_wave(stage: Stage, console: Console, show: Callable[[Board], Callable[[], None]]) -> Board:
    """Send the wave, tell what was found, and decide it as a reviewer would: once.

    Args:
        stage: Has uploads and reviews decided.
        console: Where to tell it.
        show: Makes what is called whenever something is on the board.

    Returns:
        The verdicts.

    Raises:
        QuorumError: If not every upload and every review came to an end.
    """
    uploads = _uploads()
    console.rule("A wave")
    console.print(f"{len(uploads)} accounts send nearly the same within two minutes.\n")
    board = Board({one.id: one.uploader for one in uploads}, expected=len(uploads))
    stage.play([one.to_bytes() for one in uploads], board, show(board), 1)
    if not board.done:
        msg = "not every upload of the wave came to an end; please report this"
        raise QuorumError(msg)
    campaign, members = _found(board)
    if campaign is None:
        console.print("\nThe policy found no campaign in them.")
        return board
    verdicts = [board.verdicts[name] for name in members]
    held = sum(one.action is Action.REVIEW for one in verdicts)
    console.print(
        f"\nFound:     a campaign ({campaign.label}), {campaign.uploads} uploads "
        f"by {campaign.uploaders} accounts",
        highlight=False,
    )
    console.print(
        f"Contained: {held} wait for a human; {len(members) - held} came before it was known",
        highlight=False,
    )
    at = now()
    stage.decide(
        [
            Review(
                upload_id=one.upload_id, verdict_id=one.id, action=Action.REMOVE,
                reviewer="you", labels=("spam",), note="A wave.", at=at,
            )
            for one in verdicts
        ],
        board,
    )  # fmt: skip
    if any(board.verdicts[name].decided_by != "reviewer" for name in members):
        msg = "not every review of the wave was taken; please report this"
        raise QuorumError(msg)
    decided = [board.verdicts[name] for name in members]
    removed = sum(one.action is Action.REMOVE for one in decided)
    console.print(
        f"Decided:   once by a reviewer, for all of them: {removed} removed "
        "([bold]quorum console[/])",
        highlight=False,
    )
    return board


def _found(board: Board) -> tuple[Campaign | None, list[str]]:
    """The campaign as its last member has it, and all members, with those from before."""
    last: Campaign | None = None
    members: dict[str, None] = {}
    for verdict in sorted(board.verdicts.values(), key=lambda one: one.upload_id):
        for one in verdict.campaigns or ():
            members.update(dict.fromkeys(name for name in one.earlier if name in board.verdicts))
            members[verdict.upload_id] = None
            last = one if last is None or one.uploads > last.uploads else last
    return last, list(members)
