"""Whether this process is fit for work: named checks that say in words what is wrong.

Whoever knows what can go wrong registers a check of it: a subscription knows that messages wait and
none is done, a sink that nothing can be published. The checks are evaluated when somebody asks, so
that an answer is never old: ``quorum health``, the ``/ready`` of a job's metrics port, and that of
the web service and the console.

Ready and alive are two questions. A process is ready if no check finds a problem. It is alive as
long as a restart would not help: a broker or a ledger that is away does not come back by it, an
engine that stands still does.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

__all__ = ["Check", "alive_answer", "problems", "ready_answer", "register"]

_log = logging.getLogger(__name__)

#: Returns why this process is not ready, in a sentence without a full stop; None if all is well. It
#: must not block, and may be called from any thread.
Check = Callable[[], str | None]

#: By name: the check, and whether a restart helps against what it finds.
_CHECKS: dict[str, tuple[Check, bool]] = {}
_LOCK = threading.Lock()

#: The problems that were found last.
_KNOWN: dict[str, str] = {}


def register(name: str, check: Check, *, restart_helps: bool = False) -> Callable[[], None]:
    """Ask this check whenever the health of this process is asked for.

    Args:
        name: What is checked, as a key of the JSON: ``pull projects/P/subscriptions/S``,
            ``detector spam``. A later check of the same name takes the place of an earlier one.
        check: Returns why this process is not ready, or None.
        restart_helps: Whether a problem that lasts is a reason to restart the process.

    Returns:
        A function that ends it. Calling it twice, or after another check took the name, is
        harmless.
    """
    registered = (check, restart_helps)
    with _LOCK:
        _CHECKS[name] = registered

    def unregister() -> None:
        with _LOCK:
            if _CHECKS.get(name) is registered:
                del _CHECKS[name]

    return unregister


def problems(*, only_restart_helps: bool = False) -> dict[str, str]:
    """Why this process is not ready, by the name of the check; empty if it is ready.

    A check that raises is a problem, too: what cannot be told to be well is not well.

    Args:
        only_restart_helps: Whether to leave out problems against which a restart does not help.
    """
    with _LOCK:
        checks = sorted(_CHECKS.items())
    found = {}
    for name, (check, restart_helps) in checks:
        if only_restart_helps and not restart_helps:
            continue
        try:
            reason = check()
        except Exception as error:
            _log.exception("the health check %r failed", name)
            reason = f"the check failed: {type(error).__name__}: {error}"
        if reason is not None:
            found[name] = reason
    if not only_restart_helps:
        _log_changes(found)
    return found


def _log_changes(found: dict[str, str]) -> None:
    """Log a problem once when it comes, and once when it is gone."""
    with _LOCK:
        come = {name: reason for name, reason in found.items() if name not in _KNOWN}
        gone = [name for name in _KNOWN if name not in found]
        _KNOWN.clear()
        _KNOWN.update(found)
    for name, reason in come.items():
        _log.warning("not ready: %s: %s", name, reason)
    for name in gone:
        _log.warning("no longer a problem: %s", name)


def ready_answer() -> tuple[bool, dict[str, object]]:
    """Whether this process is fit for work, and the JSON that says so."""
    found = problems()
    if found:
        return False, {"status": "not ready", "problems": found}
    return True, {"status": "ready"}


def alive_answer() -> tuple[bool, dict[str, object]]:
    """Whether this process can go on without a restart, and the JSON that says so."""
    found = problems(only_restart_helps=True)
    if found:
        return False, {"status": "restart", "problems": found}
    return True, {"status": "alive"}
