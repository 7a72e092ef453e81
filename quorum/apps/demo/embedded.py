"""The demo in one process: where this machine has no broker and no streaming engine."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from quorum.aggregator.policy.policy import load_policy
from quorum.apps.demo.board import Board
from quorum.apps.demo.wave import Stage
from quorum.core.errors import MalformedMessage
from quorum.core.messages import DeadLetter, Review, Upload, now
from quorum.core.settings import load_settings
from quorum.pipeline.moderator import Moderated, Moderator

__all__ = ["in_process"]


def in_process(
    messages: Sequence[bytes],
    board: Board,
    settings: Path,
    policy: str | None,
    show: Callable[[], None],
    then: Callable[[Stage], None] | None = None,
) -> None:
    """Decide one message after the other, with the detectors and the policy of the stream.

    Args:
        messages: Uploads as JSON, and what is none.
        board: Gets the verdicts and the dead letters.
        settings: The settings' file.
        policy: A policy's name or file; by default the settings' own.
        show: Called after each message.
        then: Called with the stage when all of them are decided.

    Raises:
        QuorumError: If the policy or a model cannot be used.
    """
    chosen = load_settings(settings)
    with Moderator(chosen, load_policy(policy or chosen.policy)) as moderator:
        stage = _InProcess(moderator)
        stage.play(messages, board, show)
        if then is not None:
            then(stage)


class _InProcess:
    """Decides in this process, one after the other; see ``Stage``."""

    def __init__(self, moderator: Moderator) -> None:
        self._moderator = moderator
        self._made: dict[str, tuple[Upload, Moderated]] = {}

    def play(
        self, messages: Sequence[bytes], board: Board, show: Callable[[], None], at_once: int = 1
    ) -> None:
        for data in messages:
            try:
                upload = Upload.accept(data)
            except MalformedMessage as error:
                for letter in DeadLetter.of(data, {}, "demo.uploads", str(error), now()):
                    board.dead_letter(letter)
            else:
                for made in self._moderator.moderate([upload]):
                    board.verdict(made.verdict)
                    self._made[upload.id] = (upload, made)
            show()

    def decide(self, reviews: Sequence[Review], board: Board) -> None:
        for review in reviews:
            upload, made = self._made[review.upload_id]
            verdict = self._moderator.decider.again(
                upload, made.predictions, (), made.verdict, at=now(), review=review
            )
            if verdict is not None:
                board.verdict(verdict)
