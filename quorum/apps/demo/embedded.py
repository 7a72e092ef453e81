"""The demo in one process: where this machine has no broker and no streaming engine."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from quorum.aggregator.policy.policy import load_policy
from quorum.apps.demo.board import Board
from quorum.core.errors import MalformedMessage
from quorum.core.messages import DeadLetter, Upload, now
from quorum.core.settings import load_settings
from quorum.pipeline.moderator import Moderator

__all__ = ["in_process"]


def in_process(
    messages: Sequence[bytes],
    board: Board,
    settings: Path,
    policy: str | None,
    show: Callable[[], None],
) -> None:
    """Decide one message after the other, with the detectors and the policy of the stream.

    Args:
        messages: Uploads as JSON, and what is none.
        board: Gets the verdicts and the dead letters.
        settings: The settings' file.
        policy: A policy's name or file; by default the settings' own.
        show: Called after each message.

    Raises:
        QuorumError: If the policy or a model cannot be used.
    """
    chosen = load_settings(settings)
    with Moderator(chosen, load_policy(policy or chosen.policy)) as moderator:
        for data in messages:
            try:
                upload = Upload.accept(data)
            except MalformedMessage as error:
                for letter in DeadLetter.of(data, {}, "demo.uploads", str(error), now()):
                    board.dead_letter(letter)
            else:
                for made in moderator.moderate([upload]):
                    board.verdict(made.verdict)
            show()
