"""The checks of a job's health: its engine, its streams, its cases."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial

from quorum.core import health
from quorum.pipeline.cases.table import overdue_cases
from quorum.pipeline.streams.base import Source
from quorum.pipeline.streams.progress import Progress, ended, unreachable, without_progress
from quorum.pipeline.streams.publishing import stuck_publishing
from quorum.pipeline.streams.pulse import not_begun, standstill
from quorum.pipeline.streams.subscription import open_subscriptions

__all__ = ["GRACE_SECONDS", "Patience", "check_subscriptions", "checked"]

#: Seconds beyond the longest regular wait after which a message is held for too long.
GRACE_SECONDS = 15.0

#: Seconds, or what gives them: those of a policy change with it.
Patience = float | Callable[[], float]

#: The longest regular wait of a stream of which nothing else is known.
_PATIENCE = 60.0


@contextmanager
def checked(sources: Sequence[Source], patience: Mapping[str, Patience]) -> Iterator[None]:
    """Check the health of a job while it runs in this process.

    Args:
        sources: Where it reads.
        patience: By stream, how many seconds a message may be held where all is well, such as
            the policy's deadline for uploads.
    """
    pulses = [source.subscription for source in sources if source.in_process]
    with ExitStack() as stack:
        if pulses:
            stack.callback(health.register("start", partial(not_begun, pulses)))
            engine = partial(standstill, pulses)
            stack.callback(health.register("engine", engine, restart_helps=True))
            stack.callback(health.register("cases", overdue_cases))
        stack.callback(health.register("publishing", stuck_publishing))
        held = {
            source.subscription: patience.get(source.stream, _PATIENCE)
            for source in sources
            if source.subscription
        }
        stack.enter_context(check_subscriptions(held))
        yield


@contextmanager
def check_subscriptions(patience: Mapping[str, Patience]) -> Iterator[None]:
    """Check the subscriptions of this process.

    Args:
        patience: By path, how many seconds a message may be held where all is well.
    """
    with ExitStack() as stack:
        for path, seconds in patience.items():
            judge = partial(_without_progress, patience=seconds)
            stack.callback(health.register(f"progress {path}", partial(_judged, path, judge)))
            stack.callback(health.register(f"pull {path}", partial(_judged, path, unreachable)))
            threads = partial(_judged, path, ended)
            stack.callback(health.register(f"threads {path}", threads, restart_helps=True))
        yield


def _without_progress(progress: Progress, patience: Patience) -> str | None:
    seconds = patience() if callable(patience) else patience
    return without_progress(progress, limit=seconds + GRACE_SECONDS)


def _judged(path: str, judge: Callable[[Progress], str | None]) -> str | None:
    """What is wrong with a subscription; nothing is with one that is not open yet."""
    return next((judge(one.progress) for one in open_subscriptions() if one.path == path), None)
