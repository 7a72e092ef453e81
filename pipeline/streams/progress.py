"""How a subscription gets on, and when that is a problem of health."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["AWAY_SECONDS", "Progress", "ended", "unreachable", "without_progress"]

#: Seconds that a broker may refuse or not answer before that is a problem: a restart takes less.
AWAY_SECONDS = 15.0


@dataclass(frozen=True, slots=True)
class Progress:
    """How a subscription gets on; times are in seconds until now.

    Attributes:
        held: Messages that are pulled and not yet acknowledged.
        oldest: How long the oldest of them has been held; 0 if none is.
        still: How long ago the last outcome of a message became durable.
        away: How long pulling has failed; 0 while it works.
        error: Why it failed last.
        ended: Names of its threads that ended though they should run.
        backlog: Messages that wait in the stream, as far as the broker has told (Kafka's lag).
    """

    held: int
    oldest: float
    still: float
    away: float
    error: str
    ended: tuple[str, ...]
    backlog: int = 0


def without_progress(progress: Progress, limit: float) -> str | None:
    """Why messages wait and none of them ends; None while they do.

    A backlog is no such problem: its messages are old, and yet one after the other ends.

    Args:
        progress: How the subscription gets on.
        limit: Seconds that a message may be held where all is well.
    """
    if not progress.held or min(progress.oldest, progress.still) <= limit:
        return None
    waiting = f"; {progress.backlog} wait in the stream" if progress.backlog else ""
    return (
        f"{progress.held} messages are held, the oldest for {progress.oldest:.0f} s, and none of "
        f"them came to an end in the last {progress.still:.0f} s{waiting}"
    )


def unreachable(progress: Progress) -> str | None:
    """Why nothing can be pulled; None while the broker answers."""
    if progress.away <= AWAY_SECONDS:
        return None
    return f"nothing could be pulled for {progress.away:.0f} s: {progress.error}"


def ended(progress: Progress) -> str | None:
    """Which threads are gone without which nothing is pulled or kept; None while they run."""
    if not progress.ended:
        return None
    return f"the thread {', '.join(progress.ended)} ended; only a restart helps"
