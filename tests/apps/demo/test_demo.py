"""The demo ends by itself, with every kind of outcome, on a real stream and in one process."""

from __future__ import annotations

import io
import json
import queue
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from google.pubsub_v1.types import PubsubMessage
from rich.cells import cell_len
from rich.console import Console

from quorum.apps.demo import embedded, stream
from quorum.apps.demo import run as module
from quorum.apps.demo.board import Board
from quorum.apps.demo.embedded import in_process
from quorum.apps.demo.examples import example_messages, examples_folder
from quorum.apps.demo.run import demo
from quorum.apps.demo.show import screen
from quorum.apps.demo.stream import Published, _failed
from quorum.core.errors import ConfigurationError, MalformedMessage, QuorumError
from quorum.core.messages import ACTIONS, Action, DeadLetter, Upload, Verdict, now
from quorum.models.ensemble import Ensemble
from quorum.pipeline.moderator import Moderator
from tests.pipeline.doubles import Scripted, policy, upload

ROOT = Path(__file__).resolve().parents[3]


def shown() -> tuple[Console, io.StringIO]:
    out = io.StringIO()
    return Console(file=out, width=120), out


def check(board: Board, told: str) -> None:
    assert board.done
    assert {verdict.action for verdict in board.verdicts.values()} == set(ACTIONS)
    assert len(board.dead) == 2
    assert len(board.verdicts) + len(board.dead) == board.expected
    for part in ("Summary", "Latency:", "Dead letters: 2", "A wave", "Next:"):
        assert part in told
    assert "Found:     a campaign (wave/text), 8 uploads by 8 accounts" in told
    assert "Contained: 5 wait for a human; 3 came before it was known" in told
    assert "for all of them: 8 removed" in told


@pytest.mark.long
@pytest.mark.slow
def test_in_one_process_where_there_is_no_emulator(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "find_emulator", lambda: (None, "no emulator in this test"))
    console, out = shown()
    board = demo(examples_folder(ROOT / "examples"), console=console)
    check(board, out.getvalue())
    told = out.getvalue()
    assert "this machine has no emulator in this test" in told
    assert "quorum stream" in told and "quorum doctor" in told
    assert all(cell_len(line) <= 120 for line in table(told))


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
    with pytest.raises(QuorumError, match="no-such-policy"):
        demo(tmp_path, policy="no-such-policy", console=console)
    process = subprocess.Popen([sys.executable, "-c", "raise SystemExit(3)"])
    process.wait()
    (tmp_path / "job.log").write_text("one\nthe policy cannot be read\n")
    with pytest.raises(QuorumError, match=r"the job failed:\none\nthe policy cannot be read"):
        _failed(process, tmp_path)


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
        policy_version="p", rule="r", decided_by="policy", at=START + timedelta(seconds=later),
        **({"reasons": ("[bold]because[/]",), "latency": 0.5} | more),
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
    with screen(board, console) as shown_:
        shown_.show()
    board.summary(console)
    told = out.getvalue()
    assert "[red]title" in told
    assert "[bold]because[/]" in told
    assert "an [error]" in told
    assert "Repeated: 1" in told
    assert "1 remove" in told


def table(told: str) -> list[str]:
    """The lines of the table: its head, and one for each verdict or dead letter."""
    words = ("action", "allow", "restrict", "review", "remove", "dead ")
    plain = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", told).replace("\r", "\n")
    return [line for line in plain.splitlines() if line.startswith(words)]


@pytest.mark.parametrize("width", [60, 80, 120])
@pytest.mark.parametrize("terminal", [False, True], ids=["piped", "terminal"])
def test_each_verdict_is_a_line_when_it_comes_and_fits(width: int, terminal: bool) -> None:
    out = io.StringIO()
    console = Console(file=out, width=width, force_terminal=terminal, color_system=None)
    board = Board({"u": "絵文字 and a title that is long\nin two lines " * 3}, expected=3)
    with screen(board, console) as shown_:
        shown_.show()
        assert table(out.getvalue()) == []
        board.verdict(verdict("remove", reasons=("Because of " * 30,), latency=12.345))
        shown_.show()
        first = table(out.getvalue())
        assert len(first) == 2
        assert "12,345 ms" in first[1]
        shown_.show()
        board.verdict(verdict("review", 2, reasons=("Later.",)))
        for letter in DeadLetter.of(b"x", {}, "stage", "an error of many words " * 9, now()):
            board.dead_letter(letter)
        shown_.show()
    lines = [line.rstrip() for line in table(out.getvalue())]
    assert [line.split()[0] for line in lines] == ["action", "remove", "review", "dead"]
    assert all(cell_len(line) <= width for line in lines)


def test_one_upload_after_the_other_is_decided_and_shown(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """None waits for another: a verdict is there before the next upload is looked at."""
    (tmp_path / "settings.yaml").write_text("policy: balanced\n")
    ensemble = Ensemble.of((Scripted("alpha"), Scripted("beta")))
    monkeypatch.setattr(embedded, "Moderator", lambda *_: Moderator(None, policy(), ensemble))
    board = Board({"a": "A", "b": "B"}, expected=3)
    seen: list[int] = []
    messages = [upload("a"), b"nonsense", upload("b"), upload("a")]

    def show() -> None:
        seen.append(len(board.verdicts) + len(board.dead))

    in_process(messages, board, tmp_path / "settings.yaml", None, show)
    assert seen == [1, 2, 3, 3]
    assert board.done and board.repeated == 1
    (letter,) = board.dead.values()
    assert letter.data == b"nonsense"


class Broker:
    """In place of broker and job: each upload that is published has its answer soon."""

    def __init__(self) -> None:
        self.queues: dict[str, queue.SimpleQueue[bytes]] = {
            name: queue.SimpleQueue() for name in ("verdicts-platform", "dead-letters-kept")
        }
        self._known: set[str] = set()

    def publish(self, topic: str, messages: list[PubsubMessage]) -> None:
        assert topic == "projects/quorum-demo/topics/quorum-uploads"
        for message in messages:
            try:
                sent = Upload.from_bytes(message.data)
            except MalformedMessage as error:
                (letter,) = DeadLetter.of(message.data, {}, "stream.uploads", str(error), now())
                self._answer("dead-letters-kept", letter.to_bytes())
                continue
            if sent.id not in self._known:
                self._known.add(sent.id)
                made = verdict("allow").model_copy(
                    update={"id": f"v-{sent.id}", "upload_id": sent.id}
                )
                self._answer("verdicts-platform", made.to_bytes())

    def _answer(self, name: str, data: bytes) -> None:
        threading.Timer(0.05, self.queues[name].put, (data,)).start()

    def pulled(self, _client: object, subscription: str) -> list[bytes]:
        with suppress(queue.Empty):
            return [
                self.queues[subscription.rpartition("/")[2].removeprefix("quorum-")].get(
                    timeout=0.1
                )
            ]
        return []


@contextmanager
def no_job(*_: object) -> Iterator[Any]:
    yield SimpleNamespace(poll=lambda: None)


def test_a_few_uploads_are_under_way_at_a_time(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    broker = Broker()
    clients = "quorum.pipeline.streams.pubsub_clients"
    monkeypatch.setattr(f"{clients}.publisher_client", lambda: broker)
    monkeypatch.setattr(f"{clients}.subscriber_client", lambda: broker)
    monkeypatch.setattr("quorum.pipeline.streams.topics.create_topics", lambda _: set())
    monkeypatch.setattr(stream, "_pulled", broker.pulled)
    monkeypatch.setattr(stream, "_job", no_job)
    most = []

    class Noted(Published):
        def under_way(self, board: Board) -> int:
            most.append(super().under_way(board))
            return most[-1]

    monkeypatch.setattr(stream, "Published", Noted)
    messages = [upload("a"), b"nonsense", upload("a"), *(upload(f"u{n}") for n in range(8))]
    board = Board({"a": "A", **{f"u{n}": "U" for n in range(8)}}, expected=10)
    shown_at = []
    stream.on_pubsub(messages, board, [], tmp_path, lambda: shown_at.append(len(board.verdicts)))
    assert board.done
    assert set(board.verdicts) == set(board.titles), "the first, uncounted upload is not shown"
    assert len(board.dead) == 1
    assert max(most) <= stream.UNDER_WAY
    assert len(set(shown_at)) > 2, "they come one by one"


def test_what_is_under_way_is_counted_by_upload() -> None:
    board = Board({"u": "U", "w": "W"}, expected=3)
    published = Published()
    for data in (upload("u"), upload("u"), b"nonsense", upload("w")):
        published.add(data)
    assert published.under_way(board) == 3
    board.verdict(verdict("allow"))
    for letter in DeadLetter.of(b"nonsense", {}, "stage", "an error", now()):
        board.dead_letter(letter)
    assert published.under_way(board) == 1
