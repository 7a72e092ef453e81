"""State that the routes share: the service, the ledger, API keys, stored responses."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from fastapi import Request

from quorum.apps.http.keys import Bucket, Keyring
from quorum.apps.http.problems import Problem
from quorum.apps.web.endpoints import Endpoint, WebhookDispatcher, deliveries_of
from quorum.apps.web.idempotency import IdempotencyStore
from quorum.apps.web.recorder import AnswerRecorder
from quorum.apps.web.service import Busy, Service
from quorum.apps.web.settings import ServiceLimits
from quorum.apps.web.watch import Watcher
from quorum.core.messages import Prediction, Upload, Verdict
from quorum.pipeline.moderator import Moderated
from quorum.store.ledger import Delivery, Ledger

__all__ = ["State", "allow"]

#: Uploads whose verdicts can be read where there is no ledger.
RECENT_UPLOADS = 10_000


@dataclass
class State:
    """Shared state of the routes.

    Attributes:
        service: Decides uploads.
        answers: Responses stored by idempotency key.
        limits: Limits for clients.
        keyring: API keys; None to admit everyone, on loopback only.
        ledger: None where nothing is recorded.
        recorder: Writes to the ledger.
        webhooks: Sends verdicts to endpoints.
        endpoints: The endpoints.
        media_folder: Where media files of requests are stored; None where they are refused.
        watcher: Replaces models when a registry's alias moves; None where none can move.
        closing: Set when the service shuts down.
        buckets: Rate limits, by client.
        recent: Verdicts and predictions by upload id, where there is no ledger.
    """

    service: Service
    answers: IdempotencyStore
    limits: ServiceLimits
    keyring: Keyring | None = None
    ledger: Ledger | None = None
    recorder: AnswerRecorder | None = None
    webhooks: WebhookDispatcher | None = None
    endpoints: Sequence[Endpoint] = ()
    media_folder: Path | None = None
    watcher: Watcher | None = None
    closing: bool = False
    buckets: dict[str, Bucket] = field(default_factory=dict)
    recent: OrderedDict[str, tuple[list[Verdict], list[Prediction]]] = field(
        default_factory=OrderedDict
    )

    async def moderate(
        self,
        upload: Upload,
        *,
        scored: Upload | None = None,
        cleanup: Callable[[], None] | None = None,
    ) -> tuple[Moderated, bool]:
        """Decide an upload; its verdict, and whether that is recorded where it should be.

        Raises:
            Problem: If too many uploads are in progress, or wait for the ledger.
        """
        try:
            if self.recorder is not None and self.recorder.backlog >= self.limits.backlog:
                raise Problem(
                    503,
                    "the ledger is unreachable and too many verdicts wait for it",
                    {"retry-after": "10"},
                )
            made = await self.service.moderate(upload, scored=scored, cleanup=cleanup)
        except Busy as busy:
            raise busy_problem(busy) from None
        except Problem:
            if cleanup is not None:
                cleanup()
            raise
        return made, await self._record(upload, [made.verdict], made.predictions)

    async def _record(
        self, upload: Upload, verdicts: list[Verdict], predictions: Sequence[Prediction]
    ) -> bool:
        if self.recorder is None:
            self._remember(upload.id, verdicts, predictions)
            return True
        deliveries = self._deliveries(verdicts)
        done = self.recorder.put([upload, *predictions, *verdicts, *deliveries])
        try:
            durable = await asyncio.wait_for(asyncio.shield(done), self.limits.record_seconds)
        except TimeoutError:
            return False
        if deliveries and self.webhooks is not None:
            self.webhooks.wake()
        return durable

    def on_late(self, upload: Upload, verdict: Verdict | None, prediction: Prediction) -> None:
        """Record a late prediction; endpoints receive a superseding verdict."""
        verdicts = [verdict] if verdict is not None else []
        if self.recorder is None:
            self._remember(upload.id, verdicts, [prediction])
            return
        deliveries = self._deliveries(verdicts)
        self.recorder.put([prediction, *verdicts, *deliveries])

    def _deliveries(self, verdicts: Sequence[Verdict]) -> list[Delivery]:
        return [one for verdict in verdicts for one in deliveries_of(verdict, self.endpoints)]

    def _remember(
        self, upload_id: str, verdicts: list[Verdict], predictions: Sequence[Prediction]
    ) -> None:
        known, scored = self.recent.pop(upload_id, ([], []))
        ids = {verdict.id for verdict in verdicts}
        all_verdicts = [one for one in known if one.id not in ids] + verdicts
        all_verdicts.sort(key=lambda one: one.order)
        by_id = {one.id: one for one in (*scored, *predictions)}
        self.recent[upload_id] = (all_verdicts, list(by_id.values()))
        while len(self.recent) > RECENT_UPLOADS:
            self.recent.popitem(last=False)

    def take(self, client: str, count: int) -> None:
        """Count uploads against a client's rate.

        Raises:
            Problem: If the client exceeds its rate.
        """
        if self.limits.rate is None:
            return
        bucket = self.buckets.get(client)
        if bucket is None:
            bucket = self.buckets[client] = Bucket(self.limits.rate, self.limits.burst)
        wait = bucket.take(count)
        if wait > 0:
            seconds = max(1, round(wait + 0.5))
            detail = f"more than {self.limits.rate:g} uploads/s; retry in {seconds} s"
            raise Problem(429, detail, {"retry-after": str(seconds)})


def busy_problem(busy: Busy) -> Problem:
    """Build the response for a busy service."""
    detail = f"too many uploads are in progress; {busy}"
    return Problem(429, detail, {"retry-after": str(busy.seconds)})


def allow(request: Request, scope: str) -> str:
    """Authorise a request; the name of the client.

    Raises:
        Problem: If the API key is missing or unknown, or lacks the scope.
    """
    state: State = request.app.state.quorum
    if state.keyring is None:
        return "anyone"
    key = state.keyring.find(request.headers)
    if key is None:
        given = {"authorization", "x-api-key"} & set(request.headers)
        detail = "this API key is unknown" if given else "give an API key"
        detail = f"{detail}: authorization: Bearer KEY, or x-api-key: KEY"
        raise Problem(401, detail, {"www-authenticate": "Bearer"})
    if scope not in key.scopes:
        raise Problem(403, f"this API key lacks the scope {scope}")
    return key.name
