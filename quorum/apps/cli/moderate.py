"""``quorum moderate``: the verdicts of a file of uploads, in this process."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import ExitStack
from itertools import islice
from pathlib import Path
from typing import Annotated, BinaryIO

import typer

from quorum.core.errors import InputError, MalformedMessage
from quorum.core.logs import LogFormat, LogLevel, configure_logs
from quorum.core.messages import Upload

__all__ = ["app"]

app = typer.Typer(rich_markup_mode=None, pretty_exceptions_enable=False)

#: Uploads that are decided together.
BATCH = 64


@app.command()
def moderate(
    file: Annotated[str, typer.Argument(help="File of uploads, one JSON a line; - for stdin.")],
    output: Annotated[
        Path | None, typer.Option(help="File for the verdicts; by default stdout.")
    ] = None,
    predictions: Annotated[
        Path | None, typer.Option(help="Also write what each detector said to this file.")
    ] = None,
    settings: Annotated[
        str | None, typer.Option(help="Settings (YAML); or QUORUM_SETTINGS.", show_default=False)
    ] = None,
    policy: Annotated[
        str | None,
        typer.Option(help="A policy's file, or the name of one that ships.", show_default=False),
    ] = None,
    shadow_policy: Annotated[
        list[str] | None,
        typer.Option(help="A policy that only watches; may be repeated.", show_default=False),
    ] = None,
    log_format: Annotated[LogFormat, typer.Option(help="How logs are written.")] = "text",
    log_level: Annotated[LogLevel, typer.Option(help="The least level that is shown.")] = "warning",
) -> None:
    """Decide each upload of a file: verdicts as JSON lines, in the file's order.

    Lines that are no uploads are told on standard error; then the exit code is 65.

    \b
    quorum moderate uploads.jsonl > verdicts.jsonl
    """
    configure_logs(log_format, log_level)
    from quorum.aggregator.policy.policy import load_policy
    from quorum.core.settings import load_settings
    from quorum.pipeline.moderator import Moderator

    chosen = load_settings(settings)
    rules = load_policy(policy or chosen.policy)
    shadows = tuple(load_policy(name) for name in shadow_policy or ())
    bad = 0
    with ExitStack() as held:
        lines = _opened(file, held)
        out = sys.stdout.buffer if output is None else held.enter_context(output.open("wb"))
        said = None if predictions is None else held.enter_context(predictions.open("wb"))
        moderator = held.enter_context(Moderator(chosen, rules, shadows=shadows))
        numbered = enumerate(lines, 1)
        while batch := list(islice(numbered, BATCH)):
            uploads = []
            for number, line in batch:
                if not line.strip():
                    continue
                try:
                    uploads.append(Upload.from_bytes(line))
                except MalformedMessage as error:
                    bad += 1
                    typer.echo(f"{file}:{number}: {error}", err=True)
            for made in moderator.moderate(uploads):
                out.write(made.verdict.to_bytes() + b"\n")
                if said is not None:
                    said.writelines(one.to_bytes() + b"\n" for one in made.predictions)
            out.flush()
    if bad:
        msg = f"{bad:,} lines of {file} are no uploads; the others have their verdicts"
        raise InputError(msg)


def _opened(file: str, held: ExitStack) -> Iterator[bytes]:
    if file == "-":
        return iter(sys.stdin.buffer)
    try:
        opened: BinaryIO = Path(file).open("rb")  # noqa: SIM115
    except OSError as error:
        msg = f"cannot read {file}: {error.strerror}"
        raise InputError(msg) from None
    return iter(held.enter_context(opened))
