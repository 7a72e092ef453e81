"""The console, put together."""

from __future__ import annotations

import contextlib
import gc
import logging
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.responses import PlainTextResponse, Response
from starlette.staticfiles import StaticFiles

from quorum.aggregator.policy.policy import Policy
from quorum.apps.console.accounts.security import Guard, content_security_policy
from quorum.apps.console.desk.in_force import InForce
from quorum.apps.console.desk.overview import Overviews
from quorum.apps.console.desk.publishing import Reviews
from quorum.apps.console.pages import (
    appeal,
    case,
    login,
    media,
    overview,
    policies,
    quality,
    queue,
    search,
)
from quorum.apps.console.pages.base import Console, LoginNeeded, Refused, go, render
from quorum.apps.console.settings import ConsoleSettings
from quorum.apps.console.worker import Worker
from quorum.apps.http.problems import Problem, problem_response
from quorum.core.errors import QuorumError
from quorum.store.ledger import Ledger, LedgerUnavailable

__all__ = ["create_console"]

_log = logging.getLogger(__name__)


def create_console(
    ledger: Ledger,
    policy: Policy,
    reviews: Reviews,
    settings: ConsoleSettings | None = None,
    *,
    keyring: Any = None,
) -> FastAPI:
    """The application.

    Args:
        ledger: Cases, users, decisions.
        policy: In force until another is activated: names categories and rules.
        reviews: Where decisions are published.
        settings: What a deployment sets.
        keyring: API keys of platforms that send appeals; None takes none.
    """
    chosen = settings or ConsoleSettings()

    in_force = InForce(ledger, policy)
    overviews = Overviews(ledger, lambda: in_force.current().detectors)

    @contextlib.asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        worker = Worker(ledger, reviews, chosen.double_rate, overviews)
        worker.start()
        # The modules that are loaded stay: to look through them for garbage holds a page up for
        # a tenth of a second.
        gc.collect()
        gc.freeze()
        try:
            yield
        finally:
            gc.unfreeze()
            worker.close()

    app = FastAPI(lifespan=lifespan, docs_url=None, redoc_url=None, openapi_url=None)
    app.state.overviews = overviews
    app.state.console = Console(ledger, in_force, reviews, chosen, keyring)
    for module in (
        login,
        queue,
        case,
        media,
        overview,
        policies,
        search,
        quality,
        appeal,
    ):
        app.include_router(module.router)
    static = Path(__file__).parent / "static"
    app.mount("/static", StaticFiles(directory=static), name="static")
    _install_errors(app)
    app.add_middleware(
        Guard,
        policy=content_security_policy(chosen.media.hosts),
        hosts=chosen.hosts,
        secure=chosen.secure,
    )
    return app


def _install_errors(app: FastAPI) -> None:
    async def on_login(request: Request, _error: Any) -> Response:
        if request.headers.get("hx-request"):
            return Response(status_code=401, headers={"hx-redirect": "/login"})
        target = request.url.path
        if request.url.query:
            target += f"?{request.url.query}"
        return go(request, "/login", next=target if request.method == "GET" else "/")

    def told(request: Request, status: int, text: str) -> Response:
        if request.url.path.startswith("/api/"):
            return problem_response(Problem(status, text))
        return render(request, "error.html", status, code=status, told=text)

    async def on_refused(request: Request, error: Any) -> Response:
        return told(request, error.status, error.told)

    async def on_http(request: Request, error: Any) -> Response:
        known = {404: "There is no such page.", 405: "This page cannot be asked like that."}
        return told(request, error.status_code, known.get(error.status_code, str(error.detail)))

    async def on_validation(request: Request, _error: Any) -> Response:
        return told(
            request, 422, "The address of this page is not complete, or not as it should be."
        )

    async def on_ledger(_request: Request, error: Any) -> Response:
        _log.error("%s", error)
        text = "The ledger cannot be reached now. Nothing was changed; reload in a few seconds."
        return PlainTextResponse(text, 503, {"retry-after": "5"})

    async def on_error(request: Request, error: Any) -> Response:
        _log.error("%s %s", request.method, request.url.path, exc_info=error)
        return PlainTextResponse("The console failed at this; its log tells why.", 500)

    async def on_disconnect(_request: Request, _error: Any) -> Response:
        return PlainTextResponse("This is too large. Nothing was changed: go back.", 413)

    app.add_exception_handler(LoginNeeded, on_login)
    app.add_exception_handler(Refused, on_refused)
    app.add_exception_handler(HTTPException, on_http)
    app.add_exception_handler(RequestValidationError, on_validation)
    app.add_exception_handler(LedgerUnavailable, on_ledger)
    app.add_exception_handler(ClientDisconnect, on_disconnect)
    app.add_exception_handler(QuorumError, on_error)
    app.add_exception_handler(Exception, on_error)
