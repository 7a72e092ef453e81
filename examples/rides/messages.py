"""The messages of this domain: a ride that was asked for, and what is estimated of it."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, ClassVar

from pydantic import Field

from quorum.messages import Identifier, Message, Time, digest

__all__ = ["Estimate", "Ride"]


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
