"""What the web service is limited to."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["ServiceLimits"]


@dataclass(frozen=True, slots=True)
class ServiceLimits:
    """ServiceLimits that keep one client from taking the service from the others.

    Attributes:
        body_bytes: The largest JSON body; an upload's event has at most 2 MiB.
        media_bytes: The largest body with a media file.
        body_seconds: How long a client may take to send its body.
        batch: The most uploads of one batch.
        pending: The most uploads in the works; more are answered with 429.
        rate: Uploads a second for each API key; None for no limit.
        burst: How many uploads of a key may come at once.
        record_seconds: How long an answer waits for the ledger; then it goes out with
            ``quorum-recorded: pending``, and the ledger is written as soon as it is back.
        backlog: The most answers that wait for the ledger; more uploads are answered with 503.
        idempotency_seconds: How long an answer is kept for its ``idempotency-key``.
        idempotency_keys: How many answers are kept.
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
    idempotency_seconds: float = 24 * 3600.0
    idempotency_keys: int = 10_000
