"""What the routes share: the service, the ledger, the keys and the answers that are kept."""

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
from quorum.store.ledger import Ledger

__all__ = ["State", "allow"]

#: Verdicts that can be asked for where there is no ledger.
REMEMBERED = 10_000


@dataclass
class State:
    """All that a request needs.

    Attributes:
        service: Decides.
        answers: Kept for their idempotency keys.
        limits: What a client may do.
        keyring: None where everyone may ask: on loopback only.
        ledger: None where nothing is recorded.
        recorder: Writes to the ledger.
        webhooks: Tells verdicts to endpoints.
        endpoints: The endpoints.
        media_folder: Where media that comes with a request lies; None where none may come.
        watcher: Takes other models in when a registry's alias moves; None where none can move.
        closing: Set when the service ends.
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
    remembered: OrderedDict[str, tuple[list[Verdict], list[Prediction]]] = field(
        default_factory=OrderedDict
    )

    async def moderate(
        self,
        upload: Upload,
        *,
        scored: Upload | None = None,
        cleanup: Callable[[], None] | None = None,
    ) -> tuple[Moderated, bool]:
        """An upload's verdict, and whether it is durable where it should be.

        Raises:
            Problem: If too many are in the works, or wait for the ledger.
        """
        try:
            if self.recorder is not None and self.recorder.backlog >= self.limits.backlog:
                raise Problem(503, "the ledger is away and too much waits", {"retry-after": "10"})
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
        told = [one for verdict in verdicts for one in deliveries_of(verdict, self.endpoints)]
        done = self.recorder.put([upload, *predictions, *verdicts, *told])
        try:
            durable = await asyncio.wait_for(asyncio.shield(done), self.limits.record_seconds)
        except TimeoutError:
            return False
        if told and self.webhooks is not None:
            self.webhooks.hurry()
        return durable

    def on_late(self, upload: Upload, verdict: Verdict | None, prediction: Prediction) -> None:
        """Record what came after an answer; endpoints are told a superseding verdict."""
        verdicts = [verdict] if verdict is not None else []
        if self.recorder is None:
            self._remember(upload.id, verdicts, [prediction])
            return
        told = [one for verdict in verdicts for one in deliveries_of(verdict, self.endpoints)]
        self.recorder.put([prediction, *verdicts, *told])

    def _remember(
        self, upload_id: str, verdicts: list[Verdict], predictions: Sequence[Prediction]
    ) -> None:
        known, said = self.remembered.pop(upload_id, ([], []))
        ids = {verdict.id for verdict in verdicts}
        all_verdicts = [one for one in known if one.id not in ids] + verdicts
        all_verdicts.sort(key=lambda one: (one.revision, one.at))
        by_id = {one.id: one for one in (*said, *predictions)}
        self.remembered[upload_id] = (all_verdicts, list(by_id.values()))
        while len(self.remembered) > REMEMBERED:
            self.remembered.popitem(last=False)

    def take(self, client: str, count: int) -> None:
        """Count uploads against a client's rate.

        Raises:
            Problem: If the client is too fast.
        """
        if self.limits.rate is None:
            return
        bucket = self.buckets.get(client)
        if bucket is None:
            bucket = self.buckets[client] = Bucket(self.limits.rate, self.limits.burst)
        wait = bucket.take(count)
        if wait > 0:
            seconds = max(1, round(wait + 0.5))
            detail = f"more than {self.limits.rate:g} uploads/s; ask again in {seconds} s"
            raise Problem(429, detail, {"retry-after": str(seconds)})


def busy_problem(busy: Busy) -> Problem:
    """The answer when the service is full."""
    detail = f"too many uploads are in the works; {busy}"
    return Problem(429, detail, {"retry-after": str(busy.seconds)})


def allow(request: Request, scope: str) -> str:
    """Who asks, if they may.

    Raises:
        Problem: If there is no key, or it is not for this.
    """
    state: State = request.app.state.quorum
    if state.keyring is None:
        return "anyone"
    key = state.keyring.find(request.headers)
    if key is None:
        given = {"authorization", "x-api-key"} & set(request.headers)
        detail = "this API key is not known" if given else "give an API key"
        told = f"{detail}: authorization: Bearer KEY, or x-api-key: KEY"
        raise Problem(401, told, {"www-authenticate": "Bearer"})
    if scope not in key.scopes:
        raise Problem(403, f"this API key is not for {scope}")
    return key.name
