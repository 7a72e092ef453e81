"""Looks up uploaders' histories in the ledger: past verdicts that count as strikes.

A decision must not wait for a database. Each look-up has a time limit, results are cached for a
few seconds, and while the ledger is away no look-up is tried: the history is then unknown, and
rules that depend on it ask for a review.
"""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Final, Protocol

from quorum.aggregator.case.history import counted_actions, known_uploader
from quorum.aggregator.decision.facts import Uploader
from quorum.aggregator.policy.policy import Policy
from quorum.core.errors import QuorumError
from quorum.core.messages import Action, Upload
from quorum.store.ledger import Ledger, PastVerdicts

__all__ = ["UNKNOWN", "Histories", "PastVerdictsSource", "histories_of", "history_before"]

_log = logging.getLogger(__name__)

#: The history of an uploader that could not be looked up.
UNKNOWN: Final = Uploader(known=False)

#: Seconds until a look-up times out.
PATIENCE: Final = 0.5
#: Seconds until a cached result expires: many uploads of one uploader need one look-up.
MEMORY_SECONDS: Final = 5.0
#: The most cached results.
MEMORY: Final = 10_000
#: Seconds without look-ups after one failed.
AWAY_SECONDS: Final = 5.0
#: Concurrent look-ups; the ledger's connection pool has the same size.
WORKERS: Final = 4


class PastVerdictsSource(Protocol):
    """A source of past verdicts, such as a ledger."""

    def past_verdicts(
        self, uploaders: Sequence[str], actions: frozenset[Action]
    ) -> Mapping[str, PastVerdicts]:
        """The current verdicts on each uploader's uploads."""
        ...


def histories_of(
    ledger: Ledger,
    policy: Policy,
    uploads: Sequence[Upload],
    at: datetime,
    shadows: Sequence[Policy] = (),
) -> dict[str, Uploader]:
    """The histories of many uploads' uploaders by upload id; empty if no rule reads histories.

    Raises:
        LedgerUnavailable: If the ledger cannot be reached.
    """
    if not uploads or not any(one.reads_history for one in (policy, *shadows)):
        return {}
    names = sorted({upload.uploader for upload in uploads})
    past = ledger.past_verdicts(names, counted_actions(policy))
    return {upload.id: _uploader(policy, past[upload.uploader], upload, at) for upload in uploads}


def history_before(ledger: Ledger, policy: Policy, upload: Upload, before: datetime) -> Uploader:
    """The history of an upload's uploader at a past time, for a replay of a decision.

    Raises:
        LedgerUnavailable: If the ledger cannot be reached.
    """
    if not policy.reads_history:
        return Uploader()
    past = ledger.verdicts_before(upload.uploader, counted_actions(policy), before)
    return _uploader(policy, past, upload, before)


def _uploader(policy: Policy, past: PastVerdicts, upload: Upload, at: datetime) -> Uploader:
    """The history that rules read; it leaves out earlier verdicts on this very upload."""
    others = [(action, when) for key, action, when in past.chosen if key != upload.id]
    own = len(past.chosen) - len(others)
    side = policy.decides(upload.uploader, upload.id)
    return known_uploader(side, others, at, past.decided - own)


class Histories:
    """Looks up one uploader at a time, within a time limit. Threads may share it.

    Args:
        policy: The policy that defines the weight of past verdicts.
        source: The source of past verdicts.
        on_unknown: Called for each decision without a history.
        patience: Seconds until a look-up times out.
        clock: A monotonic clock in seconds.
    """

    def __init__(
        self,
        policy: Policy,
        source: PastVerdictsSource,
        on_unknown: Callable[[], None] = lambda: None,
        *,
        patience: float = PATIENCE,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._policy = policy
        self._source = source
        self._on_unknown = on_unknown
        self._patience = patience
        self._clock = clock
        self._actions = counted_actions(policy)
        self._lock = threading.Lock()
        self._known: OrderedDict[str, tuple[float, PastVerdicts]] = OrderedDict()
        self._away_until: float | None = None
        self._requests: queue.SimpleQueue[_LookUp | None] = queue.SimpleQueue()
        # Not an executor: its threads would delay the exit of the process while a database hangs.
        for _ in range(WORKERS):
            threading.Thread(target=self._answer, name="history", daemon=True).start()

    def of(self, upload: Upload, at: datetime) -> Uploader:
        """The history of an upload's uploader; ``UNKNOWN`` if it cannot be looked up in time."""
        past = self._look_up(upload.uploader)
        if past is None:
            self._on_unknown()
            return UNKNOWN
        return _uploader(self._policy, past, upload, at)

    def follow(self, policy: Policy) -> None:
        """Weigh past verdicts by another policy from now on."""
        with self._lock:
            if policy.version != self._policy.version:
                self._policy, self._actions = policy, counted_actions(policy)
                self._known.clear()

    def close(self) -> None:
        """Stop the threads."""
        for _ in range(WORKERS):
            self._requests.put(None)

    def _look_up(self, uploader: str) -> PastVerdicts | None:
        started = self._clock()
        with self._lock:
            known = self._known.get(uploader)
            if known is not None and started - known[0] < MEMORY_SECONDS:
                return known[1]
            if self._away_until is not None and started < self._away_until:
                return None
        look_up = _LookUp(uploader, self._actions)
        self._requests.put(look_up)
        look_up.done.wait(self._patience)
        if look_up.found is None:
            self._away(look_up.error or f"no answer within {self._patience:g} s")
            look_up.abandoned = True
            return None
        self._back()
        with self._lock:
            if look_up.actions == self._actions:
                self._known[uploader] = (started, look_up.found)
                self._known.move_to_end(uploader)
            while len(self._known) > MEMORY:
                self._known.popitem(last=False)
        return look_up.found

    def _away(self, why: str) -> None:
        with self._lock:
            first = self._away_until is None
            self._away_until = self._clock() + AWAY_SECONDS
        if first:
            _log.warning(
                "uploaders' histories cannot be looked up: %s; rules that need them ask for review",
                why,
            )

    def _back(self) -> None:
        with self._lock:
            away, self._away_until = self._away_until is not None, None
        if away:
            _log.warning("uploaders' histories can be looked up again")

    def _answer(self) -> None:
        while (look_up := self._requests.get()) is not None:
            if look_up.abandoned:
                continue
            try:
                name = look_up.uploader
                look_up.found = self._source.past_verdicts([name], look_up.actions)[name]
            except QuorumError as error:
                look_up.error = str(error)
            except Exception as error:
                look_up.error = type(error).__name__
            look_up.done.set()


class _LookUp:
    """A look-up in progress."""

    def __init__(self, uploader: str, actions: frozenset[Action]) -> None:
        self.uploader = uploader
        self.actions = actions
        self.done = threading.Event()
        self.found: PastVerdicts | None = None
        self.error: str | None = None
        self.abandoned = False
