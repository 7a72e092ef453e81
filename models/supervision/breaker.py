"""A circuit breaker before each detector, so that a mad one costs few uploads its timeout.

The states are those of M. Nygard, *Release It!* (2018): closed (calls pass), open (calls are
refused for a while), half-open (one probe passes, and its outcome closes or opens the breaker).
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from enum import StrEnum

__all__ = ["BreakerState", "CircuitBreaker"]

#: Outcomes that are counted. Of a window, at least half must be kills to open the breaker, so that
#: uploads that each kill a detector must outnumber the others to switch it off.
WINDOW = 20
LEAST_KILLS = 5

#: Seconds that the breaker stays open: at first, and at most; doubled after each failed probe.
FIRST_PAUSE = 10.0
LONGEST_PAUSE = 300.0


class BreakerState(StrEnum):
    """The state of a circuit breaker."""

    CLOSED = "closed"
    HALF_OPEN = "half-open"
    OPEN = "open"


class CircuitBreaker:
    """Counts the kills of one detector; thread-safe.

    A kill is a call that exceeded its budget or took its process down. A detector that raises is
    not counted: that costs nobody else anything.

    Args:
        clock: Monotonic seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._outcomes: deque[bool] = deque(maxlen=WINDOW)
        self._open_until: float | None = None
        self._pause = FIRST_PAUSE
        self._probing = False
        self._reason = ""

    @property
    def state(self) -> BreakerState:
        """The state now."""
        with self._lock:
            if self._open_until is None:
                return BreakerState.CLOSED
            if self._probing or self._clock() >= self._open_until:
                return BreakerState.HALF_OPEN
            return BreakerState.OPEN

    def refusal(self) -> str:
        """Why a call may not pass; empty if it may."""
        with self._lock:
            if self._open_until is None:
                return ""
            left = max(0.0, self._open_until - self._clock())
            return f"circuit breaker open after {self._reason}; next attempt in {left:.0f} s"

    def probe(self) -> bool:
        """Whether the caller shall make the one probe of a half-open breaker."""
        with self._lock:
            if self._open_until is None or self._probing or self._clock() < self._open_until:
                return False
            self._probing = True
            return True

    def cancel_probe(self) -> None:
        """Give a probe back that was not made; another call makes it."""
        with self._lock:
            self._probing = False

    def succeeded(self, *, probe: bool = False) -> None:
        """Count a call that ended within its budget; a probe closes the breaker."""
        with self._lock:
            if probe and self._open_until is not None:
                self._open_until, self._pause, self._probing = None, FIRST_PAUSE, False
                self._outcomes.clear()
            self._outcomes.append(False)

    def killed(self, reason: str, *, probe: bool = False) -> None:
        """Count a call that was killed or took its process down; it may open the breaker."""
        with self._lock:
            self._outcomes.append(True)
            if self._open_until is not None:
                if probe:
                    self._pause = min(2 * self._pause, LONGEST_PAUSE)
                    self._open(reason)
                return
            kills = sum(self._outcomes)
            if kills >= LEAST_KILLS and 2 * kills >= len(self._outcomes):
                self._open(reason)

    def _open(self, reason: str) -> None:
        self._reason = reason
        self._probing = False
        self._open_until = self._clock() + self._pause
