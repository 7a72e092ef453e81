"""A webhook continues the trace of its upload: each attempt is a span, named in its headers."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from quorum.apps.web.endpoints import WebhookDispatcher, deliveries_of
from quorum.client import read_webhook
from quorum.core import tracing
from quorum.pipeline.record import FeedMessage, StreamRecorder
from quorum.store.ledger import Ledger
from tests.apps.web.serving import event, serving
from tests.apps.web.test_webhooks import SECRET, Platform
from tests.store.ledger.messages_for_ledger import verdict
from tests.tracing import PRODUCER, TRACE, Spans, traces_in_memory


@pytest.fixture
def platform() -> Iterator[Platform]:
    made = Platform()
    yield made
    made.server.shutdown()
    made.server.server_close()


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    with Ledger(f"sqlite:///{tmp_path}/l.db", create=True) as made:
        yield made


@pytest.fixture
def spans() -> Iterator[Spans]:
    with traces_in_memory() as made:
        yield made


class OneVerdict:
    """A stream that ends after one verdict."""

    def __init__(self, attributes: Mapping[str, str]) -> None:
        self._left = [FeedMessage(verdict(1).to_bytes(), attributes)]

    def pull(self, limit: int, wait: float) -> Sequence[FeedMessage] | None:
        left, self._left = self._left, []
        return left or None

    def ack(self, ack_ids: Sequence[str]) -> None:
        pass

    def close(self) -> None:
        pass


def record(ledger: Ledger, platform: Platform, attributes: Mapping[str, str]) -> None:
    StreamRecorder(
        ledger,
        {"verdicts": OneVerdict(attributes)},
        lambda told, trace: deliveries_of(told, [platform.endpoint], trace),
    ).run()


def test_each_attempt_is_a_span_of_the_verdicts_trace_whose_context_the_endpoint_gets(
    ledger: Ledger, platform: Platform, spans: Spans, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("quorum.apps.web.endpoints.BACK_OFF", (0, 0))
    platform.refuse = 1
    record(ledger, platform, PRODUCER)
    webhooks = WebhookDispatcher(ledger, [platform.endpoint])
    while webhooks.deliver_due():
        pass
    made: list[Any] = [one for one in spans.get_finished_spans() if one.name == "deliver verdict"]
    assert [one.attributes["quorum.attempt"] for one in made] == [1, 2]
    assert [one.status.is_ok for one in made] == [False, True]
    assert made[0].status.description == "answered 500"
    assert made[0].attributes["quorum.endpoint"] == "shop"
    assert len(platform.requests) == 2
    for span, (headers, body) in zip(made, platform.requests, strict=True):
        assert f"{span.context.trace_id:032x}" == TRACE
        assert f"{span.parent.span_id:016x}" == PRODUCER["traceparent"].split("-")[2]
        sent = {name.lower(): value for name, value in headers.items()}
        assert sent["traceparent"] == f"00-{TRACE}-{span.context.span_id:016x}-01"
        assert sent["tracestate"] == PRODUCER["tracestate"]
        # The context is no part of what is signed.
        assert read_webhook(SECRET, headers, body)[1] == verdict(1)


def test_without_a_context_of_the_producer_the_trace_is_that_of_the_upload(
    ledger: Ledger, platform: Platform, spans: Spans
) -> None:
    record(ledger, platform, {})
    WebhookDispatcher(ledger, [platform.endpoint]).deliver_due()
    (headers, _) = platform.requests[0]
    told = verdict(1)
    trace = tracing.root(told.upload_id, told.digest).removeprefix("trace:")
    assert headers["traceparent"].split("-")[1] == trace


def test_without_traces_a_webhook_has_no_context(ledger: Ledger, platform: Platform) -> None:
    record(ledger, platform, PRODUCER)
    WebhookDispatcher(ledger, [platform.endpoint]).deliver_due()
    (headers, _) = platform.requests[0]
    assert not {"traceparent", "tracestate"} & {name.lower() for name in headers}


def test_a_trace_goes_from_the_client_of_the_service_to_the_webhook(
    ledger: Ledger, platform: Platform, spans: Spans
) -> None:
    with serving(ledger=ledger, endpoints=[platform.endpoint]) as client:
        client.post("/v1/moderate", json=event(1, "bad"), headers=PRODUCER)
        for _ in range(1200):
            if any(one.name == "deliver verdict" for one in spans.get_finished_spans()):
                break
            threading.Event().wait(0.05)
    by_name: dict[str, Any] = {one.name: one for one in spans.of("u1")}
    delivered = by_name["deliver verdict"]
    assert f"{delivered.context.trace_id:032x}" == TRACE
    assert delivered.parent.span_id == by_name["case"].context.span_id
    (headers, _) = platform.requests[0]
    assert headers["traceparent"].split("-")[2] == f"{delivered.context.span_id:016x}"
