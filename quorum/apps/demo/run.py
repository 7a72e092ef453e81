"""Run the demo: start a stream, publish uploads, show verdicts, summarise, stop."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.live import Live
from ruamel.yaml import YAML

from quorum.apps.demo.board import Board
from quorum.apps.demo.examples import example_messages
from quorum.core.errors import MalformedMessage, QuorumError
from quorum.core.messages import DeadLetter, Upload, Verdict
from quorum.pipeline.engines import find_prism
from quorum.pipeline.streams.emulator import emulator, find_emulator

__all__ = ["demo"]

_PROJECT = "quorum-demo"
_PREFIX = "quorum"

#: The demo ends by itself, in well under a minute where nothing else runs; after this long it
#: shows what has come, and fails.
_LIMIT_SECONDS = 240.0


def demo(folder: Path, *, policy: str | None = None, console: Console | None = None) -> Board:
    """Run the demo.

    Args:
        folder: Where ``uploads.jsonl`` and its media lie.
        policy: A policy's name or file; by default the settings' own.
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
    prism, lacking = find_prism() if command else (None, "")
    with tempfile.TemporaryDirectory(prefix="quorum-demo-") as made:
        work = Path(made)
        settings = _settings(work, folder)
        args = ["--settings", str(settings), *(["--policy", policy] if policy else [])]
        if command and prism:
            console.print(f"{len(messages)} messages through the Pub/Sub emulator and Prism.\n")
            with emulator():
                _on_pubsub(messages, board, args, work, console)
        else:
            why = lacking if command else reason
            console.print(
                f"{len(messages)} messages through files and the direct runner, because there is "
                f"{why}.\n"
            )
            _on_files(messages, board, args, work, console)
    board.summary(console)
    if not board.done:
        msg = "not every upload came to an end; please report this with what is shown above"
        raise QuorumError(msg)
    _next_steps(console)
    return board


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


@contextmanager
def _job(args: list[str], work: Path, env: dict[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    with (work / "job.log").open("wb") as log:
        process = subprocess.Popen(  # noqa: S603
            [sys.executable, "-m", "quorum", "stream", *args],
            stdout=log,
            stderr=log,
            env={**os.environ, **env},
            start_new_session=True,
        )
    try:
        yield process
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()


def _failed(process: subprocess.Popen[bytes], work: Path) -> None:
    if process.poll() not in (None, 0):
        tail = (work / "job.log").read_text(errors="replace").strip().splitlines()[-5:]
        msg = "the job failed:\n" + "\n".join(tail)
        raise QuorumError(msg)


def _on_pubsub(
    messages: list[bytes], board: Board, args: list[str], work: Path, console: Console
) -> None:
    from google.pubsub_v1.types import PubsubMessage

    from quorum.pipeline.streams.pubsub_clients import publisher_client, subscriber_client
    from quorum.pipeline.streams.topics import create_topics, planned

    create_topics(planned(_PROJECT, _PREFIX))
    topics = f"projects/{_PROJECT}/topics/{_PREFIX}"
    subscriptions = f"projects/{_PROJECT}/subscriptions/{_PREFIX}"
    options = [
        *("--uploads", f"{subscriptions}-uploads-stream"),
        *("--predictions", f"{topics}-predictions"),
        *("--verdicts", f"{topics}-verdicts"),
        *("--dead-letters", f"{topics}-dead-letters"),
        *("--runner", "prism"),
    ]
    client = subscriber_client()
    with _job([*options, *args], work, {}) as process, _show(board, console) as show:
        publisher = publisher_client()
        for data in messages:
            publisher.publish(topic=f"{topics}-uploads", messages=[PubsubMessage(data=data)])
        deadline = time.monotonic() + _LIMIT_SECONDS
        while not board.done and time.monotonic() < deadline:
            _failed(process, work)
            for body in _pulled(client, f"{subscriptions}-verdicts-platform"):
                board.verdict(Verdict.from_bytes(body))
            for body in _pulled(client, f"{subscriptions}-dead-letters-kept"):
                board.dead_letter(DeadLetter.from_bytes(body))
            show()


def _pulled(client: Any, subscription: str) -> list[bytes]:
    from google.api_core.exceptions import DeadlineExceeded

    try:
        response = client.pull(subscription=subscription, max_messages=100, timeout=0.5, retry=None)
    except DeadlineExceeded:
        return []
    received = response.received_messages
    if received:
        client.acknowledge(subscription=subscription, ack_ids=[one.ack_id for one in received])
    return [one.message.data for one in received]


def _on_files(
    messages: list[bytes], board: Board, args: list[str], work: Path, console: Console
) -> None:
    uploads, verdicts, dead = (work / f"{name}.jsonl" for name in ("uploads", "verdicts", "dead"))
    uploads.write_bytes(b"\n".join(messages) + b"\n")
    options = [
        *("--uploads", str(uploads)),
        *("--verdicts", str(verdicts)),
        *("--dead-letters", str(dead)),
        *("--runner", "direct"),
    ]
    with _job([*options, *args], work, {}) as process, _show(board, console) as show:
        seen = {verdicts: 0, dead: 0}
        deadline = time.monotonic() + _LIMIT_SECONDS
        ended = False
        while not ended and time.monotonic() < deadline:
            ended = process.poll() is not None
            for line in _new_lines(verdicts, seen):
                board.verdict(Verdict.from_bytes(line))
            for line in _new_lines(dead, seen):
                board.dead_letter(DeadLetter.from_bytes(line))
            show()
            _failed(process, work)
            time.sleep(0.1)


def _new_lines(file: Path, seen: dict[Path, int]) -> list[bytes]:
    if not file.exists():
        return []
    data = file.read_bytes()[seen[file] :]
    data = data[: data.rfind(b"\n") + 1]
    seen[file] += len(data)
    return data.splitlines()


@contextmanager
def _show(board: Board, console: Console) -> Iterator[Any]:
    """Redraw while the demo runs; if the output is no terminal, print everything at the end."""
    if not console.is_terminal:
        yield lambda: None
        console.print(board.everything())
        return
    with (
        console.status("Starting the job and loading the models …") as status,
    ):
        live: Live | None = None

        def show() -> None:
            nonlocal live
            if live is None and (board.verdicts or board.dead):
                status.stop()
                live = Live(board.live(), console=console, refresh_per_second=8)
                live.start()
            if live is not None:
                live.update(board.live())

        try:
            yield show
        finally:
            if live is not None:
                live.update(board.everything())
                live.stop()


def _next_steps(console: Console) -> None:
    console.print(
        "\nNext: [bold]quorum stream --help[/] runs it on your own uploads, "
        "[bold]examples/uploads.jsonl[/] is what an upload looks like,\n"
        "[bold]quorum demo --policy FILE[/] tries a policy of yours "
        "(copy aggregator/policy/shipped/balanced.yaml).",
        highlight=False,
    )
