"""``quorum batch`` on Prefect: the last whole hour, and the last whole day, when they are due.

    pip install 'quorum-moderation[prefect]'
    prefect server start &
    python deploy/prefect/flow.py

That serves both schedules from one process. The batch itself runs in a process of its own: its
memory goes with it, and one that the machine kills takes no worker with it. What a run did not
come to, the next try does: the ledger keeps what was done.
"""

from __future__ import annotations

import subprocess
from collections import deque
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any, Literal

from prefect import flow, get_run_logger, serve, task
from prefect.runtime import flow_run

__all__ = ["BatchFailed", "moderate_window", "score"]

#: Exit codes of ``quorum`` that no second try mends: bad usage, bad input, bad configuration.
NOT_TO_BE_RETRIED = frozenset({2, 65, 78})

#: Seconds before each further try: a database that restarts is back after the first, a machine
#: after the last.
PAUSES = [60, 300, 900]


class BatchFailed(Exception):
    """``quorum batch`` ended with an error; its own words are the message.

    Attributes:
        code: Its exit code; negative for the signal that ended it.
    """

    def __init__(self, code: int, words: str) -> None:
        super().__init__(f"quorum batch ended with {code}: {words}")
        self.code = code


def _may_help(_task: Any, _run: Any, state: Any) -> bool:
    try:
        state.result()
    except BatchFailed as error:
        return error.code not in NOT_TO_BE_RETRIED
    except Exception:
        return True
    return False


@task(retries=len(PAUSES), retry_delay_seconds=PAUSES, retry_condition_fn=_may_help)
def score(command: Sequence[str]) -> str:
    """Run the command, its lines in the log of the run.

    Returns:
        Its last line, which tells what was done.

    Raises:
        BatchFailed: If it fails; tried again unless that cannot help.
    """
    log = get_run_logger()
    last: deque[str] = deque(maxlen=5)
    with subprocess.Popen(  # noqa: S603
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace"
    ) as process:
        try:
            for line in process.stdout or ():
                if line.strip():
                    last.append(line.strip())
                    log.info(line.rstrip())
            code = process.wait()
        except BaseException:
            # Cancelled: what the batch has written stays, and the next run goes on from there.
            process.terminate()
            raise
    if code:
        told = [line for line in last if line.startswith("quorum: ")]
        raise BatchFailed(code, (told or list(last) or ["it said nothing"])[-1])
    return last[-1] if last else ""


def _named() -> str:
    window = flow_run.parameters["window"]
    return f"{window}-before-{_due().isoformat(timespec='minutes')}"


def _due() -> datetime:
    """When this run was due: started late, it still takes the window that it is for."""
    return (flow_run.scheduled_start_time or datetime.now(UTC)).astimezone(UTC)


@flow(name="quorum-batch", flow_run_name=_named)
def moderate_window(
    window: Literal["hourly", "daily", "monthly"],
    options: Sequence[str] = (),
    quorum: Sequence[str] = ("quorum",),
) -> str:
    """Moderate the last whole window before the time that this run was due.

    Args:
        window: Its length.
        options: More options of ``quorum batch``. The databases come from ``QUORUM_DATABASE``
            and ``QUORUM_SOURCE``: parameters are kept by Prefect and shown to its users.
        quorum: How the command is called.

    Returns:
        What was done, in a line.
    """
    until = _due().isoformat()
    return score([*quorum, "batch", "--window", window, "--until", until, *options])


def main(run: Callable[..., Any] = serve) -> None:
    """Serve both schedules; a run that is not over keeps the next one of its kind waiting."""
    run(
        # Ten minutes past, when the window's uploads are all in the table.
        moderate_window.to_deployment(
            "hourly", cron="10 * * * *", parameters={"window": "hourly"}, concurrency_limit=1
        ),
        moderate_window.to_deployment(
            "daily", cron="20 0 * * *", parameters={"window": "daily"}, concurrency_limit=1
        ),
    )


if __name__ == "__main__":
    main()
