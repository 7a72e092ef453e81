"""The restriction of a source that never ends, for splittable DoFns."""

from __future__ import annotations

from apache_beam.io.restriction_trackers import OffsetRange, OffsetRestrictionTracker
from apache_beam.transforms.core import RestrictionProvider

__all__ = ["Unbounded"]

_FOREVER = OffsetRange(0, 2**62)


class _Tracker(OffsetRestrictionTracker):
    def is_bounded(self) -> bool:
        return False


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
