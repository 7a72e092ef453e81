"""Frames between a supervisor and its workers: JSON, validated on both sides.

A worker runs decoders and plug-ins on what strangers wrote, so nothing from it is unpickled.
"""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence

from pydantic import BaseModel, ConfigDict

from quorum.core.messages import Prediction, Upload

__all__ = ["MAX_FRAME", "Batch", "Channel", "Progress", "WorkItem", "encode_progress"]

#: The most bytes of a frame from a worker.
MAX_FRAME = 256 * 1024 * 1024


class _Frame(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class WorkItem(_Frame):
    """One upload of a batch.

    Attributes:
        upload: The upload.
        scored: The upload from which features are made, if it is another.
        given: Predictions that stand already; their detectors are not run.
        asked: The detectors to run, whether or not the action is settled; None for all, as the
            cascade decides.
        left_out: Detectors that are not run.
        unreadable: Why its media must not be read again; empty if it may be read.
    """

    upload: Upload
    scored: Upload | None = None
    given: tuple[Prediction, ...] = ()
    asked: frozenset[str] | None = None
    left_out: frozenset[str] = frozenset()
    unreadable: str = ""


class Batch(_Frame):
    """What a worker shall score.

    Attributes:
        items: The uploads.
        cpu_seconds: The processor time that the batch may use.
    """

    items: tuple[WorkItem, ...]
    cpu_seconds: float


class Progress(_Frame):
    """What a worker reports: the step that it begins, predictions that are final, its end.

    Attributes:
        step: The name of the step that begins; empty if none does.
        predictions: Final predictions, each with the index of its upload in the batch.
        fetches: For each media file that was fetched, the index of its upload, when that began and
            when it ended, in nanoseconds since 1970.
        done: Whether the batch is done.
        exhausted: Why the last step left the worker unfit for others; empty if it is fit.
        retire: Whether the worker must not get another batch.
    """

    step: str = ""
    predictions: tuple[tuple[int, Prediction], ...] = ()
    fetches: tuple[tuple[int, int, int], ...] = ()
    done: bool = False
    exhausted: str = ""
    retire: bool = False


class Channel(ABC):
    """One end of a connection that carries frames."""

    @abstractmethod
    def send(self, frame: bytes) -> None:
        """Send a frame.

        Raises:
            OSError: If the other end is gone.
        """

    @abstractmethod
    def receive(self, seconds: float | None = None) -> bytes | None:
        """Return the next frame; None if none comes within so many seconds.

        Raises:
            EOFError: If the other end is gone.
        """


def encode_progress(
    step: str,
    predictions: Iterable[tuple[int, Prediction]],
    fetches: Sequence[tuple[int, int, int]] = (),
) -> bytes:
    """Encode the frame of a ``Progress`` without validating its predictions again."""
    parts = (b"[%d,%s]" % (index, prediction.to_bytes()) for index, prediction in predictions)
    return b'{"step":%s,"predictions":[%s],"fetches":%s}' % (
        json.dumps(step).encode(),
        b",".join(parts),
        json.dumps(fetches).encode(),
    )
