"""How the demo is shown: each verdict as a line when it comes, in a terminal of any width."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from quorum.apps.demo.board import COLOURS, Board
from quorum.core.messages import Verdict

__all__ = ["Screen", "screen"]

#: Columns of the action and of the latency, and the gap between columns.
_ACTION, _LATENCY, _GAP = 8, 9, 2


class Screen:
    """Prints what a board gets, a line each, once.

    Args:
        board: The board.
        console: Where to print.
        note: Tells the progress; None to tell none.
    """

    def __init__(self, board: Board, console: Console, note: Note | None = None) -> None:
        self._board = board
        self._console = console
        self._note = note
        self._shown: set[str] = set()
        self._began = False

    def show(self) -> None:
        """Print the verdicts and dead letters that are new."""
        board = self._board
        if not self._began and (board.verdicts or board.dead):
            self._began = True
            self._print(Text("action"), "upload", "latency", "because", style="bold")
        for verdict in board.verdicts.values():
            if verdict.id not in self._shown:
                self._shown.add(verdict.id)
                self._verdict(verdict)
        for letter in board.dead.values():
            if letter.event_id() not in self._shown:
                self._shown.add(letter.event_id())
                self._print(Text("dead", style="dim"), "(a dead letter)", "", escape(letter.error))
        if self._began and self._note is not None:
            self._note(f"{len(board.verdicts) + len(board.dead)} of {board.expected}")

    def pause(self) -> None:
        """Tell no progress until there is more."""
        if self._note is not None:
            self._note.end()

    def _verdict(self, verdict: Verdict) -> None:
        action = verdict.action.value
        self._print(
            Text(action, style=COLOURS[action]),
            escape(self._board.titles.get(verdict.upload_id, verdict.upload_id)),
            f"{verdict.latency * 1000:,.0f} ms",
            escape(" ".join(verdict.reasons)),
        )

    def _print(
        self, action: Text, upload: str, latency: str, because: str, style: str = ""
    ) -> None:
        rest = max(20, self._console.width - _ACTION - _LATENCY - 3 * _GAP)
        title = min(36, rest * 2 // 5)
        row = Table.grid(padding=(0, _GAP, 0, 0))
        row.add_column(width=_ACTION, no_wrap=True, overflow="ellipsis")
        row.add_column(width=title, no_wrap=True, overflow="ellipsis")
        row.add_column(width=_LATENCY, no_wrap=True, justify="right")
        row.add_column(width=rest - title, no_wrap=True, overflow="ellipsis")
        row.add_row(action, " ".join(upload.split()), latency, because, style=style)
        self._console.print(row)


class Note:
    """Tells what is going on, in a terminal alone.

    Args:
        console: The terminal, or none.
    """

    def __init__(self, console: Console) -> None:
        self._status = console.status("") if console.is_terminal else None

    def __call__(self, text: str) -> None:
        """Replace what is told."""
        if self._status is not None:
            self._status.update(text)
            self._status.start()

    def end(self) -> None:
        """Tell nothing more."""
        if self._status is not None:
            self._status.stop()


@contextmanager
def screen(board: Board, console: Console) -> Iterator[Screen]:
    """Show what a board gets while the block runs."""
    note = Note(console)
    note("Loading the models …")
    try:
        yield Screen(board, console, note)
    finally:
        note.end()
