"""The web application: routes, middleware and their shared state."""

from __future__ import annotations

import contextlib
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path

from fastapi import FastAPI
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from quorum import __version__
from quorum.aggregator.policy.policy import Policy
from quorum.apps.http.body import BodyLimits
from quorum.apps.http.counted import CountResponses
from quorum.apps.http.keys import ApiKey, Keyring
from quorum.apps.http.problems import install_problems
from quorum.apps.web import lookups, moderation, notices, reports
from quorum.apps.web.contract import describe
from quorum.apps.web.endpoints import Endpoint, WebhookDispatcher
from quorum.apps.web.idempotency import IdempotencyStore
from quorum.apps.web.notice_desk import NoticeDesk
from quorum.apps.web.perspective import routes as perspective
from quorum.apps.web.perspective.attributes import sources_of
from quorum.apps.web.perspective.errors import render
from quorum.apps.web.recorder import AnswerRecorder
from quorum.apps.web.report_desk import ReportDesk, desk_of
from quorum.apps.web.service import Service
from quorum.apps.web.settings import ServiceLimits
from quorum.apps.web.state import State
from quorum.apps.web.watch import Watcher
from quorum.core import health
from quorum.core.identity import Publisher
from quorum.core.metrics import UNKNOWN_HISTORIES
from quorum.core.settings import AttributeSource, NoticeSettings, ReportSettings
from quorum.models.ensemble import Ensemble
from quorum.models.supervision.supervisor import Supervisor
from quorum.pipeline.policies.live import LivePolicy
from quorum.store.histories import Histories
from quorum.store.ledger import Ledger

__all__ = ["create_app"]


def create_app(
    policy: Policy,
    ensemble: Ensemble | Supervisor,
    *,
    ledger: Ledger | None = None,
    keys: Sequence[ApiKey] | None = None,
    endpoints: Sequence[Endpoint] = (),
    limits: ServiceLimits | None = None,
    media_folder: Path | None = None,
    shadows: Sequence[Policy] = (),
    watcher: Watcher | None = None,
    attributes: Mapping[str, AttributeSource | None] | None = None,
    report_settings: ReportSettings | None = None,
    notice_settings: NoticeSettings | None = None,
    publishers: Mapping[str, Publisher] | None = None,
    live: LivePolicy | None = None,
) -> FastAPI:
    """Build the application.

    Args:
        policy: The policy that decides.
        ensemble: The detectors.
        ledger: Where uploads, predictions and verdicts are recorded; None for nowhere.
        keys: API keys that clients must present; None to admit everyone.
        endpoints: Webhooks that receive verdicts; they need the ledger.
        limits: Limits for clients.
        media_folder: Folder for media files sent with requests, which the ensemble may read;
            None to refuse such files.
        shadows: Policies that are evaluated without effect.
        watcher: Replaces models when a registry's alias moves.
        attributes: What answers attributes of ``comments:analyze``; see ``Settings.perspective``.
        report_settings: Trusted flaggers, and how many reports are taken.
        notice_settings: The terms of legal notices.
        publishers: Whose digital signatures of notices are verified.
        live: Follows the policies that are released while it serves; None for none.

    Raises:
        ConfigurationError: If an attribute names a detector that does not run, or a trusted
            flagger has no key.
    """
    sources = sources_of(attributes or {}, ensemble.detectors)
    report_desk = desk_of(ledger, keys, report_settings or ReportSettings())
    notice_desk = (
        None
        if ledger is None
        else NoticeDesk.of(ledger, notice_settings or NoticeSettings(), publishers or {})
    )
    chosen = limits or ServiceLimits()

    @contextlib.asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        histories = None
        reads = any(one.reads_history for one in (policy, *shadows))
        if ledger is not None and (reads or live is not None):
            histories = Histories(policy, ledger, UNKNOWN_HISTORIES.inc)
        service = Service(
            policy,
            ensemble,
            pending=chosen.pending,
            shadows=shadows,
            histories=histories,
            live=live,
        )
        state = State(
            service=service,
            answers=IdempotencyStore(
                chosen.idempotency_seconds, chosen.idempotency_keys, chosen.idempotency_bytes
            ),
            limits=chosen,
            keyring=None if keys is None else Keyring(tuple(keys)),
            ledger=ledger,
            recorder=None if ledger is None else AnswerRecorder(ledger),
            webhooks=WebhookDispatcher(
                ledger, endpoints, before=lambda: _tell((report_desk, notice_desk), endpoints)
            )
            if ledger is not None and endpoints
            else None,
            endpoints=tuple(endpoints),
            media_folder=media_folder,
            watcher=watcher,
            attributes=sources,
            reports=report_desk,
            notices=notice_desk,
        )
        service.on_late = state.on_late
        app.state.quorum = state
        if state.webhooks is not None:
            state.webhooks.start()
        if watcher is not None:
            watcher.start(service)
        checks = [
            health.register("uploads", service.problem),
            health.register("detectors", service.detector_problem),
        ]
        if state.recorder is not None:
            checks.append(health.register("ledger", state.recorder.problem))
        try:
            yield
        finally:
            state.closing = True
            for end_check in checks:
                end_check()
            end = time.monotonic() + chosen.closing_seconds
            if watcher is not None:
                watcher.close()
            await service.close(_until(end))
            if state.recorder is not None:
                await state.recorder.close(_until(end))
            if state.webhooks is not None:
                state.webhooks.close(_until(end))
            if histories is not None:
                histories.close()

    app = FastAPI(
        title="Quorum",
        version=__version__,
        summary="Content moderation: one upload in, one explained verdict out.",
        lifespan=lifespan,
        # These pages would load scripts from other hosts; /openapi.json needs none.
        docs_url=None,
        redoc_url=None,
    )
    app.include_router(moderation.router)
    app.include_router(lookups.router)
    app.include_router(perspective.router)
    app.include_router(reports.router)
    app.include_router(notices.router)
    describe(app)
    install_problems(app, render)

    async def on_disconnect(_request: Request, _error: Exception) -> Response:
        return Response(status_code=400)

    app.add_exception_handler(ClientDisconnect, on_disconnect)
    app.add_middleware(
        BodyLimits,
        body_bytes=chosen.body_bytes,
        media_bytes=chosen.media_bytes,
        seconds=chosen.body_seconds,
        render=render,
    )
    app.add_middleware(CountResponses)
    return app


def _until(end: float) -> float:
    """Seconds until a time of the monotonic clock, and a little for what is ready to end."""
    return max(0.2, end - time.monotonic())


def _tell(desks: Sequence[ReportDesk | NoticeDesk | None], endpoints: Sequence[Endpoint]) -> None:
    """Queue the webhooks of what was decided at the desks."""
    for desk in desks:
        if desk is not None:
            desk.tell(endpoints)
