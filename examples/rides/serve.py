"""The same models behind a request: POST a ride, get three estimates.

python -m examples.rides.serve [PORT]
"""

from __future__ import annotations

import sys

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse

from examples.rides.estimators import WHATS, train
from examples.rides.messages import Ride
from quorum.messages import MalformedMessage

__all__ = ["create_app"]


def create_app() -> FastAPI:
    """The application; models are trained once, when it is made."""
    app = FastAPI(title="Rides")
    estimators = [train(what) for what in WHATS]

    @app.post("/v1/estimate")
    async def estimate(request: Request) -> JSONResponse:
        try:
            ride = Ride.from_bytes(await request.body())
        except MalformedMessage as error:
            return JSONResponse({"detail": str(error)}, status_code=422)
        return JSONResponse({one.what: round(one.estimate([ride])[0], 2) for one in estimators})

    return app


if __name__ == "__main__":
    import uvicorn

    uvicorn.run(create_app(), host="127.0.0.1", port=int((sys.argv[1:] or ["8081"])[0]))
