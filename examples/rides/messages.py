"""The messages of this domain: a ride, what is estimated of it, and what of its rider."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, ClassVar

from pydantic import Field

from quorum.messages import Identifier, Message, Time, digest

__all__ = ["Churn", "Estimate", "Ride"]


class Ride(Message):
    """A ride was asked for."""

    kind: ClassVar[str] = "ride"

    id: Identifier
    rider: Identifier
    kilometres: Annotated[float, Field(ge=0, le=500, allow_inf_nan=False)]
    passengers: Annotated[int, Field(ge=1, le=8)] = 1
    asked_at: Time

    def event_id(self) -> str:
        """See Message."""
        return self.id

    def event_time(self) -> datetime:
        """See Message."""
        return self.asked_at


class Estimate(Message):
    """What one estimator says of one ride."""

    kind: ClassVar[str] = "estimate"

    ride_id: Identifier
    #: ``tip`` and ``cost`` in euros, ``duration`` in minutes.
    what: Identifier
    value: float
    at: Time

    def event_id(self) -> str:
        """See Message."""
        return digest("estimate", self.ride_id, self.what)

    def event_time(self) -> datetime:
        """See Message."""
        return self.at


class Churn(Message):
    """How likely a rider is not to come back, as known at the end of a window."""

    kind: ClassVar[str] = "churn"

    rider: Identifier
    #: The end of the window: later rides are not looked at.
    until: Time
    #: Of the model that made the score.
    version: Identifier
    #: The probability, from 0 to 1.
    score: Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
    #: A digest of what the model looked at.
    seen: Identifier

    def event_id(self) -> str:
        """See Message: another model, or more that is known, makes another event."""
        return digest("churn", self.rider, self.until.isoformat(), self.version, self.seen)

    def event_time(self) -> datetime:
        """See Message."""
        return self.until
