"""The demo ends by itself, with every kind of outcome, on a real stream and on files."""

from __future__ import annotations

import io
import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from quorum.apps.demo import run as module
from quorum.apps.demo.board import Board
from quorum.apps.demo.examples import example_messages, examples_folder
from quorum.apps.demo.run import demo
from quorum.core.errors import ConfigurationError, QuorumError
from quorum.core.messages import ACTIONS, Action, DeadLetter, Verdict, now
from tests.pipeline.doubles import upload

ROOT = Path(__file__).resolve().parents[3]


def shown() -> tuple[Console, io.StringIO]:
    out = io.StringIO()
    return Console(file=out, width=120), out


def check(board: Board, told: str) -> None:
    assert board.done
    assert {verdict.action for verdict in board.verdicts.values()} == set(ACTIONS)
    assert len(board.dead) == 2
    assert len(board.verdicts) + len(board.dead) == board.expected
    for part in ("Summary", "Latency:", "Dead letters: 2", "Next:"):
        assert part in told


@pytest.mark.slow
def test_on_files_where_there_is_no_emulator(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "find_emulator", lambda: (None, "no emulator in this test"))
    console, out = shown()
    board = demo(examples_folder(ROOT / "examples"), console=console)
    check(board, out.getvalue())
    assert "no emulator in this test" in out.getvalue()


@pytest.mark.slow
@pytest.mark.emulator
@pytest.mark.prism
def test_on_a_stream(emulator: str, prism: str) -> None:
    console, out = shown()
    check(demo(examples_folder(ROOT / "examples"), console=console), out.getvalue())
    assert "through the Pub/Sub emulator and Prism" in out.getvalue()


def test_a_job_that_fails_is_told_with_its_own_words(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(module, "find_emulator", lambda: (None, "no emulator in this test"))
    (tmp_path / "uploads.jsonl").write_bytes(upload("one"))
    console, _ = shown()
    with pytest.raises(QuorumError, match=r"the job failed:\n.*no-such-policy"):
        demo(tmp_path, policy="no-such-policy", console=console)


def test_media_is_named_within_the_folder_and_nonsense_is_kept(tmp_path: Path) -> None:
    lines = [
        upload("a", media="clip.mp4"),
        upload("b", media="https://media.example/x.mp4"),
        b"nonsense",
        b"",
        b"[1]",
    ]
    (tmp_path / "uploads.jsonl").write_bytes(b"\n".join(lines))
    first, second, *rest = example_messages(tmp_path)
    assert json.loads(first)["media"] == (tmp_path / "clip.mp4").as_uri()
    assert json.loads(second)["media"] == "https://media.example/x.mp4"
    assert rest == [b"nonsense", b"[1]"]


def test_media_is_allowed_from_that_folder_and_from_nowhere_else(tmp_path: Path) -> None:
    from quorum.core.settings import MediaAccess, load_settings

    access = load_settings(module._settings(tmp_path, tmp_path / "examples")).media
    assert access == MediaAccess(folders=(str(tmp_path / "examples"),))


def test_a_folder_without_uploads_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="one with --examples"):
        examples_folder(tmp_path)


def verdict(action: str, revision: int = 1, later: float = 0, **more: Any) -> Verdict:
    return Verdict(
        id=f"{action}{revision}{later}", upload_id="u", action=action, revision=revision,
        policy_version="p", rule="r", reasons=("[bold]because[/]",), decided_by="policy",
        at=START + timedelta(seconds=later), latency=0.5, **more,
    )  # fmt: skip


START = now()


def test_the_greatest_revision_counts_and_repeats_are_told() -> None:
    board = Board({"u": "[red]title"}, expected=2)
    assert board.verdict(verdict("review", 2))
    assert not board.verdict(verdict("allow", 1, later=9))
    assert not board.verdict(verdict("remove", 2, later=1))
    assert board.verdicts["u"].action is Action.REMOVE
    assert not board.done
    for letter in DeadLetter.of(b"\xff[x]", {}, "stage", "an [error]", now()) * 2:
        board.dead_letter(letter)
    assert board.done
    console, out = shown()
    console.print(board.live())
    console.print(board.everything())
    board.summary(console)
    told = out.getvalue()
    assert "[red]title" in told
    assert "[bold]because[/]" in told
    assert "an [error]" in told
    assert "Repeated: 1" in told
    assert "1 remove" in told
