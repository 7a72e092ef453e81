"""Uploaders' histories from the ledger, for whoever decides: past verdicts as strikes.

A decision must not wait for a database. So each look-up has a time limit, what was found is
remembered for a short while, and while the ledger is away nothing is asked of it at all: the
history is then unknown, which a policy takes as a reason for review where it matters.
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

#: What rules are told of an uploader whose past could not be looked up.
UNKNOWN: Final = Uploader(known=False)

#: Seconds that one look-up may take: a decision waits no longer.
PATIENCE: Final = 0.5
#: Seconds for which what was found is good: a flood by one uploader is one look-up.
MEMORY_SECONDS: Final = 5.0
#: Uploaders that are remembered.
MEMORY: Final = 10_000
#: Seconds in which nothing is asked of a ledger that did not answer.
AWAY_SECONDS: Final = 5.0
#: Look-ups at once; a ledger's pool has as many connections.
WORKERS: Final = 4


class PastVerdictsSource(Protocol):
    """What is asked; a ledger is one."""

    def past_verdicts(
        self, uploaders: Sequence[str], actions: frozenset[Action]
    ) -> Mapping[str, PastVerdicts]:
        """The verdicts that hold on each uploader's uploads."""
        ...


def histories_of(
    ledger: Ledger,
    policy: Policy,
    uploads: Sequence[Upload],
    at: datetime,
    shadows: Sequence[Policy] = (),
) -> dict[str, Uploader]:
    """The histories of many uploads' uploaders, by upload; empty where no rule asks.

    Raises:
        LedgerUnavailable: If the ledger cannot be reached.
    """
    if not uploads or not any(one.reads_history for one in (policy, *shadows)):
        return {}
    names = sorted({upload.uploader for upload in uploads})
    past = ledger.past_verdicts(names, counted_actions(policy))
    return {upload.id: _uploader(policy, past[upload.uploader], upload, at) for upload in uploads}


def history_before(ledger: Ledger, policy: Policy, upload: Upload, before: datetime) -> Uploader:
    """The history of an upload's uploader as it stood at a time: to decide again as then.

    Raises:
        LedgerUnavailable: If the ledger cannot be reached.
    """
    if not policy.reads_history:
        return Uploader()
    past = ledger.verdicts_before(upload.uploader, counted_actions(policy), before)
    return _uploader(policy, past, upload, before)


def _uploader(policy: Policy, past: PastVerdicts, upload: Upload, at: datetime) -> Uploader:
    """As rules are told it; what was decided of this very upload before is not held against it."""
    others = [(action, when) for key, action, when in past.chosen if key != upload.id]
    own = len(past.chosen) - len(others)
    return known_uploader(policy, others, at, past.decided - own)


class Histories:
    """Looks up one uploader at a time, within a time limit. May be shared by threads.

    Args:
        policy: Says what a past verdict counts.
        source: Where verdicts are looked up.
        on_unknown: Called for each decision that goes on without a history.
        patience: Seconds that one look-up may take.
        clock: Seconds that only grow.
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
        self._asked: queue.SimpleQueue[_Question | None] = queue.SimpleQueue()
        # Not an executor: its threads hold up the end of the process while a database hangs.
        for _ in range(WORKERS):
            threading.Thread(target=self._answer, name="history", daemon=True).start()

    def of(self, upload: Upload, at: datetime) -> Uploader:
        """The history of an upload's uploader; ``UNKNOWN`` where it cannot be had in time."""
        past = self._look_up(upload.uploader)
        if past is None:
            self._on_unknown()
            return UNKNOWN
        return _uploader(self._policy, past, upload, at)

    def close(self) -> None:
        """Let the threads end."""
        for _ in range(WORKERS):
            self._asked.put(None)

    def _look_up(self, uploader: str) -> PastVerdicts | None:
        started = self._clock()
        with self._lock:
            known = self._known.get(uploader)
            if known is not None and started - known[0] < MEMORY_SECONDS:
                return known[1]
            if self._away_until is not None and started < self._away_until:
                return None
        question = _Question(uploader)
        self._asked.put(question)
        question.done.wait(self._patience)
        if question.found is None:
            self._away(question.error or f"no answer within {self._patience:g} s")
            question.given_up = True
            return None
        self._back()
        with self._lock:
            self._known[uploader] = (started, question.found)
            self._known.move_to_end(uploader)
            while len(self._known) > MEMORY:
                self._known.popitem(last=False)
        return question.found

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
        while (question := self._asked.get()) is not None:
            if question.given_up:
                continue
            try:
                name = question.uploader
                question.found = self._source.past_verdicts([name], self._actions)[name]
            except QuorumError as error:
                question.error = str(error)
            except Exception as error:
                question.error = type(error).__name__
            question.done.set()


class _Question:
    """One look-up on its way to a thread and back."""

    def __init__(self, uploader: str) -> None:
        self.uploader = uploader
        self.done = threading.Event()
        self.found: PastVerdicts | None = None
        self.error: str | None = None
        self.given_up = False
