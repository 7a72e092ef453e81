"""Whether this process is fit for work: named checks that say in words what is wrong.

Whoever knows what can go wrong registers a check of it: a subscription knows that messages wait and
none is done, a sink that nothing can be published. The checks are evaluated when somebody asks, so
that an answer is never old: ``quorum health``, the ``/ready`` of a job's metrics port, and that of
the web service and the console.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

__all__ = ["Check", "problems", "register"]

_log = logging.getLogger(__name__)

#: Returns why this process is not ready, in a sentence without a full stop; None if all is well. It
#: must not block, and may be called from any thread.
Check = Callable[[], str | None]

_CHECKS: dict[str, Check] = {}
_LOCK = threading.Lock()


def register(name: str, check: Check) -> Callable[[], None]:
    """Ask this check whenever the health of this process is asked for.

    Args:
        name: What is checked, as a key of the JSON: ``pull projects/P/subscriptions/S``,
            ``detector spam``. A later check of the same name takes the place of an earlier one.
        check: Returns why this process is not ready, or None.

    Returns:
        A function that ends it. Calling it twice, or after another check took the name, is
        harmless.
    """
    with _LOCK:
        _CHECKS[name] = check

    def unregister() -> None:
        with _LOCK:
            if _CHECKS.get(name) is check:
                del _CHECKS[name]

    return unregister


def problems() -> dict[str, str]:
    """Why this process is not ready, by the name of the check; empty if it is ready.

    A check that raises is a problem, too: what cannot be told to be well is not well.
    """
    with _LOCK:
        checks = sorted(_CHECKS.items())
    found = {}
    for name, check in checks:
        try:
            reason = check()
        except Exception as error:
            _log.exception("the health check %r failed", name)
            reason = f"the check failed: {type(error).__name__}: {error}"
        if reason is not None:
            found[name] = reason
    return found
