"""Spans of the graph: what a message's way through a job leaves in its trace."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from quorum.core import tracing
from quorum.core.messages import Message, Prediction, Upload, Verdict

if TYPE_CHECKING:
    from quorum.pipeline.streams.base import Received  # which imports Beam

__all__ = ["decided", "received_in_trace"]

_NS = 1_000_000_000


def received_in_trace(received: Received, message: Message) -> Received:
    """The message with the context of the span of its reception, where traces are made."""
    if not tracing.is_on():
        return received
    digest: str | None = None
    if isinstance(message, Upload):
        upload_id, digest = message.id, message.digest
    else:
        upload_id = getattr(message, "upload_id", "")
        digest = message.digest if isinstance(message, Prediction) else None
    parent = tracing.context_of(received.attributes) or tracing.root(upload_id, digest)
    context = tracing.span(
        f"receive {message.kind}",
        parent,
        int(received.arrived * _NS),
        kind="consumer",
        upload_id=upload_id,
    )
    return replace(received, trace=context)


def decided(verdict: Verdict, parent: str) -> str:
    """The context of a case's span, from the arrival of its upload to this verdict."""
    if not parent:
        return ""
    end = int(verdict.at.timestamp() * _NS)
    return tracing.span(
        "case",
        parent,
        end - int(verdict.latency * _NS),
        end,
        upload_id=verdict.upload_id,
        action=verdict.action.value,
        revision=verdict.revision,
        rule=verdict.rule,
        decided_by=verdict.decided_by,
        missing=len(verdict.missing),
    )
