from __future__ import annotations

import json
from pathlib import Path

import httpx
import pytest

from quorum.client import Client, RequestRefused, ServiceUnavailable
from quorum.core.messages import Action, Upload
from quorum.core.settings import MediaAccess, Settings
from tests.apps.web.doubles import Slow, Words
from tests.apps.web.serving import event, serving


def upload(number: int, title: str) -> Upload:
    return Upload.model_validate_json(json.dumps(event(number, title)))


def test_the_client_against_the_real_service(tmp_path: Path) -> None:
    settings = Settings(media=MediaAccess(folders=(str(tmp_path),)))
    served = serving(Words(), Slow(), settings=settings, media_folder=tmp_path)
    with served as http, Client(str(http.base_url)) as client:
        response = client.moderate(upload(1, "bad"))
        assert response.verdict.action is Action.REMOVE
        assert response.recorded
        assert len(response.predictions) == 2
        batch = client.moderate_batch([upload(2, "bad"), upload(3, "fine")])
        assert [one.verdict.action for one in batch] == ["remove", "allow"]
        status = client.status("u2")
        assert status is not None
        assert status.verdict.action is Action.REMOVE
        assert client.status("nobody/here?") is None
        assert client.moderate(upload(4, "fine"), media=b"xx").verdict.upload_id == "u4"


def test_it_asks_again_with_the_same_key_when_told_later() -> None:
    seen: list[str] = []

    def handler(request: httpx.Request) -> httpx.Response:
        seen.append(request.headers["idempotency-key"])
        if len(seen) < 3:
            return httpx.Response(429, headers={"retry-after": "0"}, json={"detail": "full"})
        return httpx.Response(401, json={"detail": "give an API key"})

    client = Client("http://x", transport=httpx.MockTransport(handler))
    with pytest.raises(RequestRefused, match=r"give an API key \(HTTP 401\)") as told:
        client.moderate(upload(1, "fine"))
    assert told.value.status == 401
    assert len(seen) == 3
    assert len(set(seen)) == 1


def test_it_gives_up_after_its_patience() -> None:
    def handler(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("no route")

    client = Client("http://x", patience=0.1, transport=httpx.MockTransport(handler))
    with pytest.raises(ServiceUnavailable, match="no route"):
        client.status("u1")
    busy = Client(
        "http://x",
        patience=1.0,
        transport=httpx.MockTransport(
            lambda _: httpx.Response(429, headers={"retry-after": "60"}, text="?")
        ),
    )
    with pytest.raises(ServiceUnavailable, match="answered 429"):
        busy.status("u1")
