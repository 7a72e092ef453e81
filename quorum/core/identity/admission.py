"""The one check of a message where it enters: its publisher, its form, its time, its rights."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Final, TypeVar

from quorum.core.identity.publishers import Publisher, verified
from quorum.core.identity.refusal import IdentityRefused, Refusal
from quorum.core.messages import Message, Prediction, now, prediction_id

__all__ = ["Admission", "CameBack"]

#: The ``ce-source`` of the predictions of a job that also decides.
STREAM_SOURCE: Final = "/quorum/stream"


class CameBack(Exception):
    """A prediction that this job published came back: it has reached its case inside the job."""


M = TypeVar("M", bound=Message)


@dataclass(frozen=True)
class Admission:
    """Who may say what.

    Attributes:
        publishers: The publishers of the settings; empty to accept everyone.
        own_detectors: The detectors that this job runs and decides with: without publishers, no
            other prediction in their names is accepted.
    """

    publishers: Mapping[str, Publisher] = field(default_factory=dict)
    own_detectors: frozenset[str] = frozenset()

    def without_signatures(self) -> Admission:
        """The same for a source whose messages have no attributes, such as a file."""
        return replace(self, publishers={})

    def admit(
        self,
        kind: type[M],
        data: bytes,
        attributes: Mapping[str, str],
        at: datetime | None = None,
    ) -> M:
        """Read a message of a stream, if its publisher may say it.

        Args:
            kind: What the stream's messages are.
            data: The body.
            attributes: The attributes.
            at: The time; by default now.

        Raises:
            CameBack: If it is a prediction of this job's own.
            IdentityRefused: If the publisher is unknown, or may not say this.
            MalformedMessage: If the body is not such a message, or dated in the future.
        """
        at = at or now()
        if not self.publishers:
            message = kind.accept(data, at)
            if isinstance(message, Prediction) and message.detector in self.own_detectors:
                if attributes.get("ce-source") == STREAM_SOURCE:
                    raise CameBack
                msg = (
                    f"the detector {message.detector} runs in this job, and speaks for itself; to "
                    "take its predictions from elsewhere, configure publishers"
                )
                raise IdentityRefused(Refusal.NOT_ALLOWED, msg)
            return message
        name, publisher = verified(self.publishers, f"quorum.{kind.kind}.v1", data, attributes, at)
        stream = kind.stream_name()
        if stream not in publisher.streams:
            msg = f"the publisher {name} may not publish {stream}"
            raise IdentityRefused(Refusal.NOT_ALLOWED, msg)
        message = kind.accept(data, at)
        if isinstance(message, Prediction):
            _check_prediction(name, publisher, message)
        return message


def _check_prediction(name: str, publisher: Publisher, prediction: Prediction) -> None:
    if prediction.detector not in publisher.detectors:
        msg = f"the publisher {name} may not speak for the detector that it names"
        raise IdentityRefused(Refusal.NOT_ALLOWED, msg)
    # Another id would take the place of another detector's prediction in the ledger.
    named = (prediction.upload_id, prediction.detector, prediction.version, prediction.digest)
    if prediction.id != prediction_id(*named):
        msg = "id: is not the digest that prediction_id gives"
        raise IdentityRefused(Refusal.NOT_ALLOWED, msg)
