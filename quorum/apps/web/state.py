"""State that the routes share: the service, the ledger, API keys, stored responses."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from fastapi import Request

from quorum.apps.http.keys import READ_ALL, ApiKey, Bucket, Keyring
from quorum.apps.http.problems import Problem
from quorum.apps.web.endpoints import Endpoint, WebhookDispatcher, deliveries_of
from quorum.apps.web.flights import Flights
from quorum.apps.web.idempotency import IdempotencyStore
from quorum.apps.web.known import KnownUpload, RecentUploads
from quorum.apps.web.notice_desk import NoticeDesk
from quorum.apps.web.recorder import AnswerRecorder
from quorum.apps.web.report_desk import ReportDesk
from quorum.apps.web.service import Busy, Service
from quorum.apps.web.settings import ServiceLimits
from quorum.apps.web.watch import Watcher
from quorum.core.messages import Prediction, Upload, Verdict
from quorum.core.settings import AttributeSource
from quorum.pipeline.moderator import Moderated
from quorum.store.ledger import Delivery, Ledger, LedgerUnavailable, Owner

__all__ = ["State", "allow", "may", "may_read"]

_log = logging.getLogger(__name__)

#: Seconds until a look-up of an upload in the ledger is given up: the policy's deadline runs. After
#: that none is tried for a while, so that a database that hangs costs one request its wait.
LOOK_UP_SECONDS = 1.0
AWAY_SECONDS = 5.0

#: Uploads whose clients and verdicts this process remembers; without a ledger these can be read.
RECENT_UPLOADS = 10_000
RECENT_BYTES = 64 * 1024 * 1024


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
        attributes: What answers each attribute of ``comments:analyze``.
        reports: Takes users' reports; None where there is no ledger.
        notices: Takes legal notices; None where there is no ledger.
        closing: Set when the service shuts down.
        buckets: Rate limits, by client.
        recent: What this process moderated last; with predictions only where there is no ledger.
        flights: Requests in progress, by upload.
        ask_again_at: Until then, on the monotonic clock, the ledger is not asked for uploads.
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
    attributes: Mapping[str, AttributeSource] = field(default_factory=dict)
    reports: ReportDesk | None = None
    notices: NoticeDesk | None = None
    closing: bool = False
    buckets: dict[str, Bucket] = field(default_factory=dict)
    recent: RecentUploads = field(
        default_factory=lambda: RecentUploads(RECENT_UPLOADS, RECENT_BYTES)
    )
    flights: Flights = field(default_factory=Flights)
    ask_again_at: float = 0.0

    async def moderate(
        self,
        upload: Upload,
        client: str,
        *,
        scored: Upload | None = None,
        cleanup: Callable[[], None] | None = None,
        trace: str = "",
    ) -> tuple[Moderated, bool]:
        """Decide an upload; its verdict, and whether that is recorded where it should be.

        Args:
            upload: The upload.
            client: Who sends it.
            scored: The upload that detectors see, if its media is stored elsewhere.
            cleanup: Called when the media is no longer needed.
            trace: The context that the client sent (``quorum.core.tracing``); empty without one.

        Raises:
            Problem: If too many uploads are in progress, or wait for the ledger; if the id is of
                another client's upload, or a later content of it is known.
        """
        try:
            if self.recorder is not None and self.recorder.backlog >= self.limits.backlog:
                raise Problem(
                    503,
                    "the ledger is unreachable and too many verdicts wait for it",
                    {"retry-after": "10"},
                )
            # A full service refuses before it asks the ledger.
            self.service.check(1)
            async with self.flights.join(upload.id, client, upload.digest):
                known = await self._known(upload, client)
                earlier = known.superseded_by(upload)
                cleaning, cleanup = cleanup, None  # from here on the service cleans up
                made = await self.service.moderate(
                    upload,
                    scored=scored,
                    cleanup=cleaning,
                    earlier=earlier,
                    trace=trace,
                    reviews=known.reviews,
                )
                durable = await self._record(upload, known.with_upload(upload), made)
        except Busy as busy:
            raise busy_problem(busy) from None
        except BaseException:
            if cleanup is not None:
                cleanup()
            raise
        return made, durable

    async def _known(self, upload: Upload, client: str) -> KnownUpload:
        """What is known of an upload before it is decided.

        Raises:
            Problem: If the client may not send it.
        """
        known = self.recent.get(upload.id)
        if self.ledger is not None:
            recorded = await self._recorded(upload.id)
            known = known if recorded is None else recorded.merged(known)
        if known is None:
            return KnownUpload.of(upload, client if self.keyring is not None else None)
        if self.keyring is not None:
            known.may_change(client, upload.digest)
        return known

    async def _recorded(self, upload_id: str) -> KnownUpload | None:
        """What the ledger knows of an upload; None too while it does not answer."""
        ledger, recorder = self.ledger, self.recorder
        assert ledger is not None
        if (recorder is not None and recorder.away) or "\x00" in upload_id:
            return None
        if time.monotonic() < self.ask_again_at:
            return None

        def look_up() -> KnownUpload | None:
            found = ledger.recorded_upload(upload_id, ("upload", "verdicts", "reviews"))
            return None if found is None else KnownUpload.of_case(*found)

        try:
            return await asyncio.wait_for(asyncio.to_thread(look_up), LOOK_UP_SECONDS)
        except (TimeoutError, LedgerUnavailable) as error:
            # What another client made is still not overwritten: see ``Ledger.record``.
            self.ask_again_at = time.monotonic() + AWAY_SECONDS
            _log.warning("uploads cannot be looked up in the ledger: %s", type(error).__name__)
            return None

    async def _record(
        self,
        upload: Upload,
        known: KnownUpload,
        made: Moderated,
    ) -> bool:
        verdicts, predictions = [made.verdict], made.predictions
        if self.recorder is None:
            self.recent.put(upload.id, known.with_answer(verdicts, predictions))
            return True
        # Until the ledger has it, and for when it is away.
        self.recent.put(upload.id, known.with_answer(verdicts, ()))
        deliveries = self._deliveries(verdicts, made.trace)
        owner = [] if known.client is None else [Owner(upload.id, known.client)]
        done = self.recorder.put([upload, *predictions, *verdicts, *deliveries, *owner])
        try:
            durable = await asyncio.wait_for(asyncio.shield(done), self.limits.record_seconds)
        except TimeoutError:
            return False
        if deliveries and self.webhooks is not None:
            self.webhooks.wake()
        return durable

    def on_late(
        self, upload: Upload, verdict: Verdict | None, prediction: Prediction, trace: str = ""
    ) -> None:
        """Record a late prediction; endpoints receive a superseding verdict."""
        verdicts = [verdict] if verdict is not None else []
        known = self.recent.get(upload.id)
        if known is not None:
            kept = [prediction] if self.recorder is None else []
            self.recent.put(upload.id, known.with_answer(verdicts, kept))
        if self.recorder is None:
            return
        deliveries = self._deliveries(verdicts, trace)
        self.recorder.put([prediction, *verdicts, *deliveries])

    def _deliveries(self, verdicts: Sequence[Verdict], trace: str) -> list[Delivery]:
        return [
            one for verdict in verdicts for one in deliveries_of(verdict, self.endpoints, trace)
        ]

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
    key = _key_of(request)
    if key is not None and not key.allows(scope):
        raise Problem(403, f"this API key lacks the scope {scope}")
    return "anyone" if key is None else key.name


def may_read(request: Request, client: str | None) -> bool:
    """Whether a request may read an upload that this client made, or no client.

    Raises:
        Problem: If the API key is missing or unknown.
    """
    key = _key_of(request)
    return key is None or key.name == client or key.allows(READ_ALL)


def _key_of(request: Request) -> ApiKey | None:
    """The API key of a request; None where everyone is admitted.

    Raises:
        Problem: If it is missing or unknown.
    """
    state: State = request.app.state.quorum
    if state.keyring is None:
        return None
    key = state.keyring.find(request.headers)
    if key is None:
        given = {"authorization", "x-api-key"} & set(request.headers)
        detail = "this API key is unknown" if given else "give an API key"
        detail = f"{detail}: authorization: Bearer KEY, or x-api-key: KEY"
        raise Problem(401, detail, {"www-authenticate": "Bearer"})
    return key


def may(request: Request, scope: str) -> bool:
    """Whether a request comes with a key of this scope, or none is needed."""
    try:
        allow(request, scope)
    except Problem:
        return False
    return True
