"""The command line: one file a verb.

A verb's module is imported only when it is called, so that ``quorum --help`` answers at once.
"""

from __future__ import annotations

import sys
from typing import NoReturn

from quorum.apps.cli.app import app
from quorum.core.errors import QuorumError
from quorum.core.logs import configure_logs
from quorum.core.process_end import end_process

__all__ = ["app", "main"]


def main() -> NoReturn:
    """Run the command line.

    An error of Quorum's own ends as one line with the mend and its own exit code (see
    ``quorum.core.errors``), a policy with several mistakes as a line for each; anything else is a
    fault in Quorum, and shows its traceback. Threads that a command leaves behind do not outlive
    it (see ``quorum.core.process_end``).
    """
    configure_logs("text", "warning")
    end_process(_exit_code())


def _exit_code() -> int:
    try:
        app()
    except QuorumError as error:
        for line in error.lines:
            print(f"quorum: {line}", file=sys.stderr)  # noqa: T201
        return error.exit_code
    except KeyboardInterrupt:
        return 130
    except SystemExit as ended:
        if isinstance(ended.code, str):
            print(ended.code, file=sys.stderr)  # noqa: T201
            return 1
        return ended.code or 0
    except Exception:
        sys.excepthook(*sys.exc_info())
        return 1
    return 0
