"""The policy in force, as each process of a job follows it.

A watcher in a thread of its own reads the newest release every few seconds, and checks it before
anything is decided by it. ``LivePolicy.current`` is then one read of an attribute: a bundle takes
the policy when it begins, and decides all of its cases by it. No message crosses the engine for
that, no case waits for it, and no key holds it up. What cannot be used changes nothing: the last
good policy decides on, and health and metrics tell why.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

from quorum.aggregator.decision.rules import compiled
from quorum.aggregator.policy.policy import Policy
from quorum.core.errors import PolicyError, QuorumError
from quorum.core.identity import Publisher
from quorum.core.metrics import POLICY, POLICY_CHANGES, POLICY_STALE
from quorum.pipeline.policies.readers import Candidate, Reader, open_reader

__all__ = ["LivePolicy", "PolicyWatcher", "show_decides", "watcher_of"]

_log = logging.getLogger(__name__)

#: Seconds between two looks for a newer policy. An activation reaches every process within this
#: time and that of one read; a minute is what is promised.
READ_SECONDS: Final = 2.0

#: Seconds that a starting process waits for the policy in force, before it decides by its own.
FIRST_SECONDS: Final = 10.0

#: Seconds without a successful read after which that is a problem of health.
AWAY_SECONDS: Final = 60.0


def _fits_always(_policy: Policy) -> None:
    """Accept each policy that can be read."""


@dataclass(frozen=True)
class LivePolicy:
    """A policy that may be replaced while the job runs. Cheap to send to another process.

    Attributes:
        start: Decides until a policy was released.
        address: Where releases are read; see ``open_reader``.
        publishers: The publishers of the settings; empty to accept everyone's releases.
        fits: Raises a ``QuorumError`` for a policy that this job cannot decide by.
    """

    start: Policy
    address: str = field(repr=False)
    publishers: Mapping[str, Publisher] = field(default_factory=dict, repr=False)
    fits: Callable[[Policy], None] = _fits_always

    def current(self) -> Policy:
        """The policy in force in this process now."""
        return watcher_of(self).policy

    def problem(self) -> str | None:
        """Why this process may not decide by the newest policy; None if it does."""
        return watcher_of(self).problem()


def show_decides(policy: Policy, live: LivePolicy | None) -> None:
    """Show in the metrics which policy decides in this process, followed or not.

    Args:
        policy: Decides where none is followed.
        live: Follows the policies that are released, and shows the one in force itself.
    """
    if live is None:
        POLICY.labels(policy.version).set(1)


class PolicyWatcher:
    """Follows the releases of one address.

    Args:
        reader: Reads the newest release.
        start: Decides until a policy was released.
        fits: Raises a ``QuorumError`` for a policy that this job cannot decide by.
        clock: A monotonic clock in seconds.

    Attributes:
        policy: The policy in force: an immutable value, replaced as a whole.
    """

    def __init__(
        self,
        reader: Reader,
        start: Policy,
        fits: Callable[[Policy], None] = _fits_always,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.policy = start
        self._reader = reader
        self._fits = fits
        self._clock = clock
        self._seen = ""
        self._refused = ""
        self._read_at = clock()
        self._error = ""
        self._first = threading.Event()
        self._ended = threading.Event()
        POLICY.labels(start.version).set(1)

    def start(self, patience: float = FIRST_SECONDS) -> None:
        """Follow in a thread, and wait for the first read so many seconds."""
        threading.Thread(target=self._run, name="policy-watcher", daemon=True).start()
        if not self._first.wait(patience):
            _log.warning(
                "the policy in force could not be read within %.0f s; %s decides until it is",
                patience,
                self.policy.version,
            )

    def close(self) -> None:
        """Follow no more."""
        self._ended.set()

    def step(self) -> None:
        """Look once for a newer policy."""
        try:
            found = self._reader.read()
        except QuorumError as error:
            if str(error) != self._error:
                _log.warning("released policies cannot be read: %s", error)
            self._error = str(error)
        else:
            self._read_at, self._error = self._clock(), ""
            if found is not None and found.id != self._seen:
                self._seen = found.id
                self._take(found)
            self._first.set()
        POLICY_STALE.set(bool(self._refused or self._error))

    def problem(self) -> str | None:
        """Why this process may not decide by the newest policy; None if it does."""
        if self._refused:
            return self._refused
        away = self._clock() - self._read_at
        if away > AWAY_SECONDS:
            why = f": {self._error}" if self._error else ""
            decides = self.policy.version
            return f"released policies were last read {away:.0f} s ago{why}; {decides} decides"
        return None

    def _take(self, found: Candidate) -> None:
        try:
            policy = Policy.from_text(found.text, found.file)
            if found.version and policy.version != found.version:
                msg = f"its text is {policy.version} to this version of Quorum"
                raise PolicyError(msg)
            self._fits(policy)
            for side in policy.sides:
                compiled(side)  # here, and not while a case waits
        except QuorumError as error:
            name = found.version or "the policy"
            self._refused = (
                f"cannot use {name}, {found.told}: {error}; {self.policy.version} decides"
            )
            _log.error("the released policy is not used: %s", self._refused)
            return
        self._refused = ""
        before, self.policy = self.policy, policy
        if before.version == policy.version:
            return
        POLICY.remove(before.version)
        POLICY.labels(policy.version).set(1)
        POLICY_CHANGES.inc()
        _log.info(
            "another policy is in force",
            extra={"policy": policy.version, "before": before.version, "source": found.told},
        )

    def _run(self) -> None:
        while not self._ended.is_set():
            try:
                self.step()
            except Exception:
                # An unforeseen error must not end the watch; its age tells.
                _log.exception("cannot look for a newer policy")
            self._ended.wait(READ_SECONDS)


_WATCHERS: dict[str, PolicyWatcher] = {}
_LOCK = threading.Lock()


def watcher_of(live: LivePolicy) -> PolicyWatcher:
    """This process's watcher of an address, started at the first call.

    Raises:
        ConfigurationError: If the address is none that can be followed.
    """
    found = _WATCHERS.get(live.address)
    if found is not None:
        return found
    with _LOCK:
        if live.address not in _WATCHERS:
            made = PolicyWatcher(open_reader(live.address, live.publishers), live.start, live.fits)
            made.start()
            _WATCHERS[live.address] = made
        return _WATCHERS[live.address]
