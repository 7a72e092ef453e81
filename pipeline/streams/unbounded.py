"""The restriction of a source that never ends, for splittable DoFns."""

from __future__ import annotations

from apache_beam.io.restriction_trackers import OffsetRange, OffsetRestrictionTracker
from apache_beam.transforms.core import RestrictionProvider

__all__ = ["Unbounded"]

_FOREVER = OffsetRange(0, 2**62)


class _Tracker(OffsetRestrictionTracker):
    """A range that is deferred as a whole, and never divided.

    An engine divides an element that makes no progress, as a source does not that waits for its
    next message. Prism would process both parts in one bundle, one after the other: what the first
    has taken would wait until the second has waited, too.
    """

    def is_bounded(self) -> bool:
        return False

    def try_split(self, fraction_of_remainder: float) -> tuple[OffsetRange, OffsetRange] | None:
        if fraction_of_remainder > 0.0:
            return None
        made: tuple[OffsetRange, OffsetRange] | None
        made = super().try_split(fraction_of_remainder)  # type: ignore[no-untyped-call]
        return made


class Unbounded(RestrictionProvider):
    """Gives each element one restriction without an end."""

    def initial_restriction(self, element: str) -> OffsetRange:
        """See RestrictionProvider."""
        return _FOREVER

    def create_tracker(self, restriction: OffsetRange) -> _Tracker:
        """See RestrictionProvider."""
        return _Tracker(restriction)

    def restriction_size(self, element: str, restriction: OffsetRange) -> int:
        """See RestrictionProvider."""
        return 1

    def truncate(self, element: str, restriction: OffsetRange) -> None:
        """See RestrictionProvider."""
        return
