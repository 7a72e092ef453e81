"""Limits of the web service."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["ServiceLimits"]


@dataclass(frozen=True, slots=True)
class ServiceLimits:
    """ServiceLimits that keep one client from starving the others.

    Attributes:
        body_bytes: Largest JSON body; an upload's event has at most 2 MiB.
        media_bytes: Largest body with a media file.
        body_seconds: Time for a client to send its body.
        batch: Most uploads of one batch.
        pending: Most uploads in progress; more get 429.
        rate: Uploads per second for each API key; None for no limit.
        burst: Most uploads of a key at once.
        record_seconds: How long a response waits for the ledger; then it is sent with
            ``quorum-recorded: pending``, and the ledger is written as soon as it is back.
        backlog: Most verdicts that wait for the ledger; more uploads get 503.
        closing_seconds: Time to finish what is scored, recorded and sent, once no request is left.
        idempotency_seconds: How long a response is stored for its ``idempotency-key``.
        idempotency_keys: How many responses are stored.
        idempotency_bytes: How much memory they may take together.
    """

    body_bytes: int = 8 * 1024 * 1024
    media_bytes: int = 64 * 1024 * 1024
    body_seconds: float = 20.0
    batch: int = 100
    pending: int = 256
    rate: float | None = None
    burst: int = 100
    record_seconds: float = 2.0
    backlog: int = 20_000
    closing_seconds: float = 10.0
    idempotency_seconds: float = 24 * 3600.0
    idempotency_keys: int = 10_000
    idempotency_bytes: int = 64 * 1024 * 1024
