"""A client of the web service, for platforms in Python.

with Client("https://quorum.example.org", key="qm_…") as client:
    answer = client.moderate(upload)
    if answer.verdict.action is Action.REMOVE:
        ...
"""

from __future__ import annotations

import json
import random
import time
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import httpx

from quorum.core.errors import InputError, QuorumError
from quorum.core.messages import Prediction, Upload, Verdict
from quorum.core.webhooks import WebhookRefused, verify_webhook

__all__ = [
    "Answer",
    "Case",
    "Client",
    "RequestRefused",
    "ServiceUnavailable",
    "WebhookRefused",
    "read_webhook",
    "verify_webhook",
]

#: Answers that say "later".
_LATER = frozenset({429, 502, 503, 504})


class RequestRefused(InputError):
    """The service does not take the request; sending it again would not help.

    Attributes:
        status: The HTTP status.
    """

    def __init__(self, status: int, detail: str) -> None:
        super().__init__(f"{detail} (HTTP {status})")
        self.status = status


class ServiceUnavailable(QuorumError):
    """The service cannot be reached, or had no room in time."""

    exit_code = 69


@dataclass(frozen=True, slots=True)
class Answer:
    """The verdict on an upload.

    Attributes:
        verdict: The verdict.
        predictions: What each detector said, with its evidence.
        recorded: Whether the service's ledger has it already.
    """

    verdict: Verdict
    predictions: tuple[Prediction, ...]
    recorded: bool = True


@dataclass(frozen=True, slots=True)
class Case:
    """What the service knows of an upload.

    Attributes:
        verdict: The current verdict.
        earlier: Those that it superseded, oldest first.
        predictions: What each detector said.
    """

    verdict: Verdict
    earlier: tuple[Verdict, ...]
    predictions: tuple[Prediction, ...]


class Client:
    """Asks a Quorum service for verdicts.

    A request that gets no answer, or the answer "later", is sent again, with the same
    idempotency key, until ``patience`` is over.

    Args:
        url: Where the service is.
        key: The API key.
        timeout: Seconds that one try may take: more than the policy's deadline.
        patience: Seconds for all tries.
        transport: Another transport, for tests.
    """

    def __init__(
        self,
        url: str,
        key: str | None = None,
        *,
        timeout: float = 60.0,
        patience: float = 120.0,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        headers = {"authorization": f"Bearer {key}"} if key else {}
        self._patience = patience
        self._http = httpx.Client(
            base_url=url, headers=headers, timeout=timeout, transport=transport
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def moderate(self, upload: Upload, media: bytes | None = None) -> Answer:
        """The verdict of an upload.

        Args:
            upload: The upload.
            media: Its media, if the service cannot fetch it from where the upload says.

        Raises:
            RequestRefused: If the service does not take it.
            ServiceUnavailable: If there is no answer in time.
        """
        if media is None:
            body: dict[str, Any] = {
                "content": upload.to_bytes(),
                "headers": {"content-type": "application/json"},
            }
        else:
            body = {
                "data": {"upload": upload.to_bytes().decode()},
                "files": {"media": ("media", media)},
            }
        answer = self._ask("POST", "/v1/moderate", **body)
        return _answer(answer.json(), answer)

    def moderate_batch(self, uploads: Sequence[Upload]) -> list[Answer | RequestRefused]:
        """The verdicts of a batch, in its order; what is refused takes no other with it.

        Raises:
            RequestRefused: If the service does not take the batch.
            ServiceUnavailable: If there is no answer in time.
        """
        body = b'{"uploads":[' + b",".join(upload.to_bytes() for upload in uploads) + b"]}"
        answer = self._ask(
            "POST",
            "/v1/moderate:batch",
            content=body,
            headers={"content-type": "application/json"},
        )
        return [
            RequestRefused(one["problem"]["status"], one["problem"]["detail"])
            if "problem" in one
            else _answer(one, answer)
            for one in answer.json()["results"]
        ]

    def case(self, upload_id: str) -> Case | None:
        """What the service knows of an upload; None if it has no verdict of it.

        Raises:
            RequestRefused: If the key may not ask.
            ServiceUnavailable: If there is no answer in time.
        """
        try:
            made = self._ask("GET", f"/v1/verdicts/{_quoted(upload_id)}").json()
        except RequestRefused as refused:
            if refused.status == 404:
                return None
            raise
        return Case(
            _read(Verdict, made["verdict"]),
            tuple(_read(Verdict, one) for one in made["earlier"]),
            tuple(_read(Prediction, one) for one in made["predictions"]),
        )

    def _ask(self, method: str, path: str, **more: Any) -> httpx.Response:
        headers = {"idempotency-key": uuid.uuid4().hex, **more.pop("headers", {})}
        end = time.monotonic() + self._patience
        wait = 0.5
        while True:
            after = None
            try:
                answer = self._http.request(method, path, headers=headers, **more)
            except httpx.TransportError as error:
                told = f"{type(error).__name__}: {error}"
            else:
                if answer.status_code < 400:
                    return answer
                told = _detail(answer)
                if answer.status_code not in _LATER:
                    raise RequestRefused(answer.status_code, told)
                after = answer.headers.get("retry-after", "")
            if after and after.isdigit():
                wait = float(after)
            # Some chance, so that clients which were turned away together do not come together.
            pause = wait * random.uniform(1.0, 1.25)  # noqa: S311
            if time.monotonic() + pause > end:
                msg = f"the service had no answer within {self._patience:g} s: {told}"
                raise ServiceUnavailable(msg)
            time.sleep(pause)
            wait = min(wait * 2, 30.0)


def read_webhook(secret: str, headers: Mapping[str, str], body: bytes) -> tuple[str, Verdict]:
    """Check a webhook, and read its verdict; its id tells a repetition.

    Raises:
        WebhookRefused: If it is not from the service, or not of now.
        MalformedMessage: If it holds no verdict.
    """
    message_id = verify_webhook(secret, headers, body)
    return message_id, _read(Verdict, json.loads(body)["data"])


def _read(kind: Any, value: Any) -> Any:
    return kind.from_bytes(json.dumps(value).encode())


def _answer(made: Any, answer: httpx.Response) -> Answer:
    return Answer(
        _read(Verdict, made["verdict"]),
        tuple(_read(Prediction, one) for one in made["predictions"]),
        answer.headers.get("quorum-recorded") != "pending",
    )


def _detail(answer: httpx.Response) -> str:
    try:
        return str(answer.json()["detail"])
    except (ValueError, KeyError, TypeError):
        return f"the service answered {answer.status_code}"


def _quoted(upload_id: str) -> str:
    from urllib.parse import quote

    return quote(upload_id, safe="")
