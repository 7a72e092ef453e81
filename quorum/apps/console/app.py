"""Assembles the console: pages, worker, security headers, error pages."""

from __future__ import annotations

import contextlib
import gc
import logging
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.staticfiles import StaticFiles

from quorum.aggregator.policy.policy import Policy
from quorum.apps.console.accounts import audit
from quorum.apps.console.accounts.access import Permission
from quorum.apps.console.accounts.anchors import AnchorWriter
from quorum.apps.console.accounts.audit_key import anchors_file, audit_key
from quorum.apps.console.accounts.security import (
    MAX_BODY,
    SecurityMiddleware,
    content_security_policy,
)
from quorum.apps.console.accounts.sign_on import SignOn
from quorum.apps.console.desk.active_policy import ActivePolicy
from quorum.apps.console.desk.alarms import Bounds
from quorum.apps.console.desk.filing import queue_states
from quorum.apps.console.desk.groups import LargestGroups
from quorum.apps.console.desk.kept import Kept
from quorum.apps.console.desk.meaning import Meanings
from quorum.apps.console.desk.noticed import notice_counts
from quorum.apps.console.desk.overview import OverviewCache
from quorum.apps.console.desk.publishing import ReviewPublisher
from quorum.apps.console.desk.queues import open_counts
from quorum.apps.console.desk.releasing import ReleaseSender
from quorum.apps.console.desk.trials import TrialRunner
from quorum.apps.console.desk.viewing import Viewings
from quorum.apps.console.pages import (
    accounts,
    again,
    appeal,
    case,
    desk,
    groups,
    holds,
    login,
    meaning,
    media,
    mine,
    notice,
    notice_form,
    notices,
    overview,
    policies,
    policy_edit,
    probes,
    pulse,
    quality,
    queue,
    reports,
    sealed,
    search,
    translation,
    transparency,
    viewing,
)
from quorum.apps.console.pages import sign_on as sign_on_page
from quorum.apps.console.pages.base import Console, LoginRequired, PageError, SealedCase
from quorum.apps.console.pages.rendering import redirect, render
from quorum.apps.console.settings import ConsoleSettings
from quorum.apps.console.sweeper import Sweeper
from quorum.apps.console.watch import Watch
from quorum.apps.console.worker import Worker
from quorum.apps.http.body import BodyLimits
from quorum.apps.http.counted import CountResponses
from quorum.apps.http.keys import Keyring
from quorum.apps.http.problems import Problem, problem_response
from quorum.core import health
from quorum.core.errors import QuorumError
from quorum.store.ledger import Ledger, LedgerRefused, LedgerUnavailable
from quorum.store.notices.intake import NoticeIntake
from quorum.store.reports.intake import Intake
from quorum.store.reports.values import ReportLimits
from quorum.store.sealed.values import SealedRules

__all__ = ["create_console"]

_log = logging.getLogger(__name__)


def create_console(
    ledger: Ledger,
    policy: Policy,
    reviews: ReviewPublisher,
    settings: ConsoleSettings | None = None,
    *,
    keyring: Keyring | None = None,
) -> FastAPI:
    """Create the console's web application.

    Args:
        ledger: The database of cases, users and decisions.
        policy: The policy in force until another one is activated.
        reviews: Where decisions are published.
        settings: The settings; None for the defaults.
        keyring: API keys of platforms that send appeals; None disables the appeals API.
    """
    chosen = settings or ConsoleSettings()

    active_policy = ActivePolicy(ledger, policy)
    bounds = Bounds(answer=chosen.answer, quiet=chosen.quiet)
    overview_cache = OverviewCache(ledger, lambda: active_policy.current().detectors, bounds)

    anchors = AnchorWriter(ledger, anchors_file(), audit_key())
    releases = None if chosen.policies is None else ReleaseSender(ledger, chosen.policies)
    viewings = Viewings(chosen.media)
    meanings = Meanings(ledger, chosen.meanings)
    policy_trials = TrialRunner(ledger, active_policy.current)
    worker = Worker(
        ledger,
        reviews,
        chosen.double_rate,
        overview_cache,
        anchors,
        releases,
        chosen.undo,
        chosen.notices,
        chosen.desk,
        SealedRules.of(chosen.child_safety),
    )
    sweeper = None
    if chosen.sweep is not None and chosen.catalogue is not None:
        sweeper = Sweeper(ledger, chosen.catalogue, chosen.notices, chosen.sweep)
    watch = Watch(
        ledger,
        active_policy.current,
        bounds,
        lambda: worker.ended() or worker.problem(),
        lambda: None if sweeper is None else sweeper.alarm(),
    )

    @contextlib.asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        audit.begin_keyed(ledger, "console")
        worker.start()
        watch.start()
        meanings.start()
        policy_trials.start()
        if sweeper is not None:
            sweeper.start()
        checks = [
            health.register("policy", active_policy.problem),
            health.register("queues", worker.problem),
            health.register("reviews", worker.publishing_problem),
            health.register("worker", worker.ended, restart_helps=True),
        ]
        if releases is not None:
            checks.append(health.register("policies", releases.problem))
        # Loaded modules are never freed; scanning them for garbage delays a page by 0.1 s.
        gc.collect()
        gc.freeze()
        try:
            yield
        finally:
            gc.unfreeze()
            for end_check in checks:
                end_check()
            watch.close()
            worker.close()
            if sweeper is not None:
                sweeper.close()
            viewings.close()
            meanings.close()
            policy_trials.close()

    app = FastAPI(lifespan=lifespan, docs_url=None, redoc_url=None, openapi_url=None)
    app.state.overview_cache = overview_cache
    app.state.viewings = viewings
    app.state.meanings = meanings
    app.state.policy_trials = policy_trials
    app.state.largest_groups = LargestGroups(ledger)
    app.state.open_counts = Kept(
        lambda: open_counts(ledger), lambda found: sum(count for count, _ in found.values())
    )
    app.state.queue_states = Kept(
        lambda: ledger.transact(lambda c: queue_states(c, chosen.desk)),
        lambda found: sum(one.open for one in found),
    )
    app.state.notice_counts = Kept(
        lambda: ledger.transact(lambda c: notice_counts(c, chosen.notices.repeat)),
        lambda found: found.total,
    )
    sign_on = None if chosen.sso is None else SignOn(ledger, chosen.sso, chosen.sso_secret)
    app.state.console = Console(ledger, active_policy, chosen, watch, keyring, sign_on)
    limits = ReportLimits(public=chosen.public_reports or 1)
    app.state.public_intake = Intake(ledger, limits) if chosen.public_reports else None
    noticed = ReportLimits(notice=chosen.notices_per_hour)
    app.state.public_notices = (
        NoticeIntake(ledger, chosen.notices, noticed) if chosen.public_reports else None
    )
    app.include_router(probes.router)
    app.include_router(pulse.router)
    for module in (
        login,
        queue,
        desk,
        case,
        groups,
        again,
        media,
        viewing,
        translation,
        meaning,
        mine,
        overview,
        policies,
        policy_edit,
        search,
        quality,
        appeal,
        accounts,
        holds,
        reports,
        notice,
        sign_on_page,
        notices,
        notice_form,
        sealed,
        transparency,
    ):
        app.include_router(module.router)
    static = Path(__file__).parent / "static"
    app.mount("/static", StaticFiles(directory=static), name="static")
    _install_errors(app)
    app.add_middleware(
        BodyLimits, body_bytes=MAX_BODY, media_bytes=MAX_BODY, seconds=chosen.body_seconds
    )
    app.add_middleware(
        SecurityMiddleware,
        policy=content_security_policy(chosen.media.hosts),
        hosts=chosen.hosts,
        secure=chosen.secure,
    )
    app.add_middleware(CountResponses)
    return app


def _page_of_form(request: Request) -> str:
    """The page that a form was sent from, as the browser names it; ``/`` if it is elsewhere."""
    named = urlsplit(request.headers.get("referer", ""))
    if named.netloc != request.headers.get("host"):
        return "/"
    return f"{named.path or '/'}?{named.query}" if named.query else named.path or "/"


def _install_errors(app: FastAPI) -> None:
    async def on_login(request: Request, _error: Any) -> Response:
        if request.headers.get("hx-request") or request.url.path == "/session":
            # The page stays, with what was typed on it, and offers to log in in place.
            return JSONResponse({"message": "The session has ended; log in again."}, 401)
        if request.method == "GET":
            query = request.url.query
            return redirect(
                request, "/login", next=f"{request.url.path}?{query}" if query else request.url.path
            )
        return redirect(request, "/login", next=_page_of_form(request))

    def error_page(request: Request, status: int, text: str) -> Response:
        if request.url.path.startswith("/api/"):
            return problem_response(Problem(status, text))
        return render(request, "error.html", status, code=status, message=text)

    async def on_page_error(request: Request, error: Any) -> Response:
        return error_page(request, error.status, error.message)

    async def on_sealed(request: Request, error: Any) -> Response:
        pages = ("/case", "/notices/one", "/reports/case")
        if request.url.path in pages and error.user.may(Permission.SEALED):
            return redirect(request, "/sealed/one", case=error.case_id)
        return error_page(request, 403, "This case is sealed: child safety decides it.")

    async def on_http(request: Request, error: Any) -> Response:
        known = {404: "There is no such page.", 405: "This page does not support this method."}
        text = known.get(error.status_code, str(error.detail))
        return error_page(request, error.status_code, text)

    async def on_validation(request: Request, _error: Any) -> Response:
        return error_page(request, 422, "The address of this page is incomplete or invalid.")

    async def on_refused(request: Request, _error: Any) -> Response:
        return error_page(request, 422, "A value of this request is beyond what can be recorded.")

    async def on_ledger(request: Request, error: Any) -> Response:
        _log.error("%s", error)
        text = "The ledger is unavailable. Nothing was changed; reload in a few seconds."
        if "text/html" in request.headers.get("accept", ""):
            request.state.session = None
            response = render(request, "error.html", 503, code=503, message=text)
        else:
            response = PlainTextResponse(text, 503)
        response.headers["retry-after"] = "5"
        return response

    async def on_error(request: Request, error: Any) -> Response:
        _log.error("%s %s", request.method, request.url.path, exc_info=error)
        return PlainTextResponse("The console failed to answer this request; see its log.", 500)

    async def on_disconnect(_request: Request, _error: Any) -> Response:
        return PlainTextResponse("This form is too large. Nothing was changed: go back.", 413)

    app.add_exception_handler(LoginRequired, on_login)
    app.add_exception_handler(PageError, on_page_error)
    app.add_exception_handler(SealedCase, on_sealed)
    app.add_exception_handler(HTTPException, on_http)
    app.add_exception_handler(RequestValidationError, on_validation)
    app.add_exception_handler(LedgerRefused, on_refused)
    app.add_exception_handler(LedgerUnavailable, on_ledger)
    app.add_exception_handler(ClientDisconnect, on_disconnect)
    app.add_exception_handler(QuorumError, on_error)
    app.add_exception_handler(Exception, on_error)
