"""Run the demo: uploads become verdicts, on a stream where this machine has one; then a wave."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path

from rich.console import Console
from ruamel.yaml import YAML

from quorum.aggregator.policy.policy import load_policy
from quorum.apps.demo.board import Board
from quorum.apps.demo.embedded import in_process
from quorum.apps.demo.examples import example_messages
from quorum.apps.demo.show import Screen, screen
from quorum.apps.demo.stream import on_pubsub
from quorum.apps.demo.wave import Stage, has_waves, play_wave, policy_with_waves
from quorum.core.errors import MalformedMessage, QuorumError
from quorum.core.messages import Upload
from quorum.pipeline.streams.emulator import emulator, find_emulator

__all__ = ["demo"]


def demo(folder: Path, *, policy: str | None = None, console: Console | None = None) -> Board:
    """Run the demo.

    Args:
        folder: Where ``uploads.jsonl`` and its media lie.
        policy: A policy's name or file; by default ``balanced`` with a rule that holds waves.
        console: Where to show it.

    Returns:
        The verdicts and dead letters.

    Raises:
        QuorumError: If an upload got neither a verdict nor a dead letter, or the job failed.
    """
    console = console or Console()
    messages = example_messages(folder)
    board = _board(messages)
    command, reason = find_emulator()
    prism, lacking = _prism() if command else (None, "")
    with tempfile.TemporaryDirectory(prefix="quorum-demo-") as made:
        work = Path(made)
        settings = _settings(work, folder)
        chosen = policy or str(_policy(work))
        args = ["--settings", str(settings), "--policy", chosen]
        streams = bool(command and prism)
        second = _second_act(board, console, policy)
        if streams:
            console.print(f"{len(messages)} messages through the Pub/Sub emulator and Prism.\n")
            with emulator(), screen(board, console) as shown:
                on_pubsub(messages, board, args, work, shown.show, second(shown))
        else:
            console.print(f"{len(messages)} messages through the detectors and the policy.\n")
            with screen(board, console) as shown:
                in_process(messages, board, settings, chosen, shown.show, second(shown))
    if not board.done:
        board.summary(console)
        msg = "not every upload came to an end; please report this with what is shown above"
        raise QuorumError(msg)
    if not streams:
        _what_a_stream_adds(console, lacking if command else reason)
    _next_steps(console)
    return board


def _second_act(
    board: Board, console: Console, policy: str | None
) -> Callable[[Screen], Callable[[Stage], None]]:
    """What follows the first act while the models are loaded: its summary, and a wave."""
    waves = policy is None or has_waves(load_policy(policy))

    def of(shown: Screen) -> Callable[[Stage], None]:
        def play(stage: Stage) -> None:
            shown.pause()
            board.summary(console)
            console.print()
            if waves:
                play_wave(stage, console, lambda one: Screen(one, console).show)

        return play

    return of


def _policy(work: Path) -> Path:
    """Write the policy of the demo: ``balanced``, which also holds waves."""
    file = work / "demo.yaml"
    file.write_text(policy_with_waves(), encoding="utf-8")
    return file


def _prism() -> tuple[str | None, str]:
    from quorum.pipeline.engines import find_prism

    return find_prism()


def _board(messages: list[bytes]) -> Board:
    titles: dict[str, str] = {}
    unreadable = 0
    for data in messages:
        try:
            upload = Upload.from_bytes(data)
        except MalformedMessage:
            unreadable += 1
        else:
            titles[upload.id] = upload.title or upload.description or upload.id
    return Board(titles=titles, expected=len(titles) + unreadable)


def _settings(work: Path, folder: Path) -> Path:
    """Write settings that allow media from the demo's folder alone."""
    file = work / "settings.yaml"
    with file.open("w", encoding="utf-8") as out:
        YAML().dump({"media": {"folders": [str(folder)]}}, out)
    return file


def _what_a_stream_adds(console: Console, lacking: str) -> None:
    console.print(
        f"\nOne process decided these, one after the other: this machine has {lacking}.\n"
        "[bold]quorum stream[/] on a broker decides many at once, goes on where a process was "
        "killed, and lets other consumers read each prediction and verdict. "
        "[bold]quorum doctor[/] says what is missing.",
        highlight=False,
    )


def _next_steps(console: Console) -> None:
    console.print(
        "\nNext: [bold]quorum moderate uploads.jsonl[/] decides your own uploads, "
        "[bold]quorum stream[/] on a\nstream; [bold]quorum policy init[/] copies a policy to "
        "change, [bold]quorum demo --policy mine.yaml[/] tries it.",
        highlight=False,
    )
