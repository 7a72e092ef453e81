"""The web service on a free port of loopback, in a thread of the test."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

pytest.importorskip("fastapi", reason="needs quorum-moderation[web]")

from fastapi import FastAPI

from quorum.aggregator.policy.policy import Policy
from quorum.apps.http.server import Server, bind
from quorum.apps.web.app import create_app
from quorum.core.settings import Settings
from quorum.models.ensemble import Ensemble
from tests.apps.web.doubles import POLICY, Slow, Words


@contextlib.contextmanager
def run(app: FastAPI) -> Iterator[str]:
    taken = bind("127.0.0.1", 0)
    server = Server(app, drain=5)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [taken]}, daemon=True)
    thread.start()
    end = time.monotonic() + 100
    while not server.started:
        assert thread.is_alive(), "the server did not start"
        assert time.monotonic() < end
        time.sleep(0.01)
    try:
        yield f"http://127.0.0.1:{taken.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(20)
        assert not thread.is_alive()


@contextlib.contextmanager
def serving(
    *detectors: Any, settings: Settings | None = None, policy: Policy = POLICY, **more: Any
) -> Iterator[httpx.Client]:
    ensemble = Ensemble.of(detectors or (Words(), Slow()), settings)
    app = create_app(policy, ensemble, **more)
    with run(app) as url, httpx.Client(base_url=url, timeout=100) as client:
        yield client


def event(number: int = 1, title: str = "fine", **more: Any) -> dict[str, Any]:
    return {
        "id": f"u{number}",
        "uploader": "by",
        "title": title,
        "published_at": "2026-01-31T12:00:00Z",
    } | more
