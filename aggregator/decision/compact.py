"""A compact prediction: enough to decide, small enough to keep for every upload."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final, NamedTuple

from quorum.core.messages import Prediction, Status

__all__ = ["CompactPrediction", "micros"]

_STATUS: Final = {status.value: status for status in Status}
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)


def micros(at: datetime) -> int:
    """Microseconds since 1970: whole, so that a timer fires exactly."""
    return (at - _EPOCH) // _MICROSECOND


class CompactPrediction(NamedTuple):
    """A prediction without its evidence; as JSON it is a list."""

    id: str
    detector: str
    version: str
    #: Microseconds since 1970.
    at: int
    #: The status as text.
    code: str
    score: float | None
    labels: Mapping[str, float]
    reason: str | None = None
    shadow: bool = False
    #: The content that was scored; see ``Prediction.digest``.
    digest: str | None = None
    #: Share of the media that was seen; see ``Prediction.seen``.
    seen: float | None = None
    #: The reference works or listed hashes that it matched; see ``Prediction.works``.
    works: tuple[str, ...] = ()

    @classmethod
    def of_row(cls, row: Sequence[Any]) -> CompactPrediction:
        """A prediction from the list that it is as JSON."""
        made = cls(*row)
        return made if type(made.works) is tuple else made._replace(works=tuple(made.works))

    @classmethod
    def of(cls, prediction: Prediction) -> CompactPrediction:
        """A prediction without its evidence."""
        return cls(
            prediction.id,
            prediction.detector,
            prediction.version,
            micros(prediction.at),
            prediction.status.value,
            prediction.score,
            dict(prediction.labels),
            prediction.reason,
            prediction.shadow,
            prediction.digest,
            prediction.seen,
            prediction.works,
        )

    @property
    def status(self) -> Status:
        """Whether the detector scored, abstained or failed."""
        return _STATUS[self.code]

    @property
    def rank(self) -> tuple[Any, ...]:
        """Of two predictions of one detector the greater counts: a total order, for any arrival.

        A score counts more than an abstention, that more than a failure; then the newest.
        """
        return (
            ("failed", "abstained", "scored").index(self.code),
            self.at,
            self.version,
            self.id,
            self.score or 0.0,
            sorted(self.labels.items()),
            self.reason or "",
        )
