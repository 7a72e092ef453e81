"""``quorum moderate``: the verdicts of a file of uploads, in this process."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Annotated, BinaryIO

import typer

from quorum.apps.cli import options
from quorum.apps.cli.parameters import expanded
from quorum.apps.cli.verb import verb
from quorum.core.errors import InputError, MalformedMessage
from quorum.core.logs import LogLevel
from quorum.core.messages import Upload
from quorum.core.messages.lines import json_lines

__all__ = ["app"]

app = verb()

#: Uploads that are decided together.
BATCH = 64


@dataclass(frozen=True)
class QuietLogOptions(options.LogOptions):
    """Logs that keep standard error free for invalid lines."""

    log_level: Annotated[LogLevel, typer.Option(help="Lowest level that is logged.")] = "warning"


@app.command()
@expanded
def moderate(
    file: Annotated[str, typer.Argument(help="File of uploads, one JSON a line; - for stdin.")],
    policies: options.PolicyOptions,
    logs: QuietLogOptions,
    output: Annotated[
        Path | None, typer.Option(help="File for verdicts (default: stdout).")
    ] = None,
    predictions: Annotated[
        Path | None, typer.Option(help="Also write every detector's prediction to this file.")
    ] = None,
) -> None:
    """Decide each upload of a file: verdicts as JSON lines, in the file's order.

    Invalid lines are reported on standard error; then the exit code is 65.

    \b
    quorum moderate uploads.jsonl > verdicts.jsonl
    """
    logs.configure()
    from quorum.pipeline.moderator import Moderator

    settings, policy, shadows = policies.load()
    live = policies.live(settings, policy)
    invalid = 0
    with ExitStack() as stack:
        lines = _open(file, stack)
        out = sys.stdout.buffer if output is None else stack.enter_context(output.open("wb"))
        scored = None if predictions is None else stack.enter_context(predictions.open("wb"))
        moderator = stack.enter_context(Moderator(settings, policy, shadows=shadows, live=live))
        numbered = enumerate(lines, 1)
        while batch := list(islice(numbered, BATCH)):
            uploads = []
            for number, line in batch:
                if not line.strip():
                    continue
                try:
                    uploads.append(Upload.accept(line))
                except MalformedMessage as error:
                    invalid += 1
                    typer.echo(f"{file}:{number}: {error}", err=True)
            for made in moderator.moderate(uploads):
                out.write(made.verdict.to_bytes() + b"\n")
                if scored is not None:
                    scored.writelines(one.to_bytes() + b"\n" for one in made.predictions)
            out.flush()
    if invalid:
        msg = f"{invalid:,} lines of {file} are no uploads; the others have their verdicts"
        raise InputError(msg)


def _open(file: str, stack: ExitStack) -> Iterator[bytes]:
    if file == "-":
        return json_lines(sys.stdin.buffer, "standard input")
    try:
        opened: BinaryIO = Path(file).open("rb")  # noqa: SIM115
    except OSError as error:
        msg = f"cannot read {file}: {error.strerror}"
        raise InputError(msg) from None
    return json_lines(stack.enter_context(opened), file)
