"""The values of alerts: what is watched, what was counted, and what that says."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from quorum.core.alert_settings import AlertSettings, WatchedKind

__all__ = ["Alert", "Bounds", "Judgement", "Reading", "Share", "Signal", "Spread", "State"]


@dataclass(frozen=True, slots=True, order=True)
class Signal:
    """One thing that is watched.

    Attributes:
        kind: What kind of rate or distribution it is.
        name: The rule or the detector; empty where there is one alone.
    """

    kind: WatchedKind
    name: str = ""

    @property
    def key(self) -> str:
        """The signal in one word, such as ``rule:spam-links``."""
        return f"{self.kind}:{self.name}" if self.name else self.kind


@dataclass(frozen=True, slots=True)
class Share:
    """How many of how many.

    Attributes:
        hits: How many.
        total: Of how many.
    """

    hits: int
    total: int

    @property
    def value(self) -> float:
        """The share, from 0 to 1; 0 of none."""
        return self.hits / self.total if self.total else 0.0


@dataclass(frozen=True, slots=True)
class Spread:
    """A distribution of scores: how many lie between each two edges."""

    bins: tuple[int, ...]

    @property
    def total(self) -> int:
        """The number of scores."""
        return sum(self.bins)


@dataclass(frozen=True, slots=True)
class Reading:
    """What was counted of one signal.

    Attributes:
        signal: The signal.
        now: The window that ends now.
        weeks: The same window one week ago, two weeks ago, and so on.
    """

    signal: Signal
    now: Share | Spread
    weeks: tuple[Share | Spread, ...]


@dataclass(frozen=True, slots=True)
class Bounds:
    """From when on something is told; the meaning of each is in ``AlertSettings``.

    Attributes:
        fewest: Fewer say nothing.
        least_weeks: Fewer weeks with enough say nothing.
        ratio: How many times the usual rate is told.
        calm_seconds: An alert ends after so long as usual.
    """

    fewest: int = 50
    least_weeks: int = 2
    ratio: float = 1.5
    calm_seconds: float = 1800.0

    @classmethod
    def of(cls, settings: AlertSettings) -> Bounds:
        """The bounds of the settings."""
        return cls(settings.fewest, 2, settings.ratio, settings.calm * 60.0)


class State(StrEnum):
    """What a reading says."""

    UNKNOWN = "unknown"
    """Too little was counted, now or before."""
    USUAL = "usual"
    """It is as in the weeks before."""
    BETWEEN = "between"
    """Neither as usual nor far enough from it to be told."""
    OFF = "off"
    """It left its weekly pattern."""


@dataclass(frozen=True, slots=True)
class Judgement:
    """What a reading says, with the figures that it says it by.

    Attributes:
        signal: The signal.
        state: What it says.
        more: Whether it is more than usual; None where there is no direction.
        now: The share of now; for ``drift`` the population stability index.
        low: The lower end of the interval of ``now``; 0 for ``drift``.
        high: The upper end; the index for ``drift``.
        usual: The share of the weeks together; 0 for ``drift``.
        hits: How many hit now; for ``drift`` how many scores there were.
        total: Of how many.
        weeks: How many weeks had enough.
    """

    signal: Signal
    state: State
    more: bool | None = None
    now: float = 0.0
    low: float = 0.0
    high: float = 0.0
    usual: float = 0.0
    hits: int = 0
    total: int = 0
    weeks: int = 0


@dataclass(frozen=True, slots=True)
class Alert:
    """One episode in which a signal was off its pattern.

    Attributes:
        id: Identifies it in every channel.
        signal: The signal.
        opened_at: When it was noticed, RFC 3339.
        resolved_at: When it ended, RFC 3339; None while it lasts.
        opened: What was found when it was noticed.
        last: What was found when it ended; None while it lasts.
    """

    id: str
    signal: Signal
    opened_at: str
    resolved_at: str | None
    opened: Judgement
    last: Judgement | None = None
