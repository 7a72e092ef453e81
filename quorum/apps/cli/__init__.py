"""The command line: one file a verb.

A verb's module is imported only when it is called, so that ``quorum --help`` answers at once.
"""

from __future__ import annotations

import sys

from quorum.apps.cli.app import app
from quorum.core.errors import QuorumError
from quorum.core.logs import configure_logs

__all__ = ["app", "main"]


def main() -> None:
    """Run the command line.

    An error of Quorum's own ends as one line with the mend and its own exit code (see
    ``quorum.core.errors``); anything else is a fault in Quorum, and shows its traceback.
    """
    configure_logs("text", "warning")
    try:
        app()
    except QuorumError as error:
        print(f"quorum: {error}", file=sys.stderr)  # noqa: T201
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        sys.exit(130)
