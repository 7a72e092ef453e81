"""Whether the console is alive and ready for work, for probes; open to everyone."""

from __future__ import annotations

from fastapi import APIRouter
from starlette.responses import JSONResponse, Response

from quorum.core.health import problems

__all__ = ["router"]

router = APIRouter()


@router.get("/health")
def alive() -> Response:
    """Answer 200 while the console can answer, and a restart would not help."""
    found = problems(only_restart_helps=True)
    return _answer(found, "restart") if found else JSONResponse({"status": "ok"})


@router.get("/ready")
def ready() -> Response:
    """Answer 200 if no check of health finds a problem, else 503 with the names of those that do.

    The reasons are in the log: they may name hosts, and this route is open to everyone.
    """
    found = problems()
    return _answer(found, "not ready") if found else JSONResponse({"status": "ready"})


def _answer(found: dict[str, str], status: str) -> Response:
    told = dict.fromkeys(found, "see the log")
    return JSONResponse({"status": status, "problems": told}, 503)
