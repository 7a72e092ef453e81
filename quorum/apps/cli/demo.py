"""``quorum demo``: watch shipped uploads become verdicts."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from quorum.apps.cli import options
from quorum.apps.cli.verb import verb

__all__ = ["app"]

app = verb()


@app.command()
def demo(
    examples: Annotated[
        Path | None, typer.Option(help="Folder of uploads.jsonl and its media.", show_default=False)
    ] = None,
    policy: options.PolicyName = None,
) -> None:
    """Publish the shipped uploads, show each verdict with its reasons as it arrives, sum up.

    Then a wave of spam comes: it is found, held, and decided once.

    It runs on the official Pub/Sub emulator and Prism where this machine has them, else in one
    process. It ends by itself.

    \b
    quorum demo
    quorum demo --policy my-policy.yaml
    """
    from quorum.core.logs import configure_logs

    configure_logs("text", "error")
    # Only now: importing Beam warns of what the demo does not need.
    from quorum.apps.demo.examples import examples_folder
    from quorum.apps.demo.run import demo as run_demo

    run_demo(examples_folder(examples), policy=policy)
