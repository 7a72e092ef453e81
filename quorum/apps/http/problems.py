"""Errors as RFC 9457 problems: ``application/problem+json``."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException

from quorum.core.errors import InputError, QuorumError
from quorum.store.ledger import LedgerUnavailable

__all__ = ["Problem", "Render", "install_problems", "problem_response"]

_log = logging.getLogger(__name__)

#: In place of the framework's words, which say no more than the status.
_DETAILS = {
    404: "there is nothing at this path; /openapi.json lists what there is",
    405: "this path takes another method; the header allow names it",
}


class Problem(Exception):
    """An answer that is an error.

    Args:
        status: The HTTP status.
        detail: What was wrong and what to do; quotes nothing of the content.
        headers: More headers.
        more: More members of the problem.
    """

    def __init__(
        self,
        status: int,
        detail: str,
        headers: Mapping[str, str] | None = None,
        **more: Any,
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.headers = dict(headers or {})
        self.more = more


def problem_response(problem: Problem) -> Response:
    """The response that describes a problem."""
    body = {
        "type": "about:blank",
        "title": HTTPStatus(problem.status).phrase,
        "status": problem.status,
        "detail": problem.detail,
        **problem.more,
    }
    return Response(
        json.dumps(body),
        problem.status,
        headers=problem.headers,
        media_type="application/problem+json",
    )


#: Makes the response that describes a problem, for the path of its request.
Render = Callable[[str, Problem], Response]


def _render(_path: str, problem: Problem) -> Response:
    return problem_response(problem)


def install_problems(app: FastAPI, render: Render = _render) -> None:
    """Answer every error of the app as a problem.

    Args:
        app: The app.
        render: Makes the responses; by default RFC 9457 problems.
    """

    async def on_problem(request: Request, error: Any) -> Response:
        return render(request.url.path, error)

    async def on_http(request: Request, error: Any) -> Response:
        headers = dict(error.headers or {})
        detail = _DETAILS.get(error.status_code, str(error.detail))
        return render(request.url.path, Problem(error.status_code, detail, headers))

    async def on_validation(request: Request, error: Any) -> Response:
        detail = "; ".join(
            f"{'.'.join(str(part) for part in item['loc'])}: {item['msg']}"
            for item in error.errors()[:5]
        )
        return render(request.url.path, Problem(422, detail))

    async def on_input(request: Request, error: Any) -> Response:
        return render(request.url.path, Problem(422, str(error)))

    async def on_ledger(request: Request, error: Any) -> Response:
        _log.error("%s", error)
        detail = "the ledger cannot be reached now; try again later"
        return render(request.url.path, Problem(503, detail, {"retry-after": "5"}))

    async def on_quorum(request: Request, error: Any) -> Response:
        _log.error("%s", error)
        problem = Problem(500, "the service cannot answer this; see its log")
        return render(request.url.path, problem)

    async def on_error(request: Request, error: Any) -> Response:
        _log.error("%s %s", request.method, request.url.path, exc_info=error)
        problem = Problem(500, "the service failed at this; see its log")
        return render(request.url.path, problem)

    app.add_exception_handler(Problem, on_problem)
    app.add_exception_handler(HTTPException, on_http)
    app.add_exception_handler(RequestValidationError, on_validation)
    app.add_exception_handler(InputError, on_input)
    app.add_exception_handler(LedgerUnavailable, on_ledger)
    app.add_exception_handler(QuorumError, on_quorum)
    app.add_exception_handler(Exception, on_error)
