from __future__ import annotations

import base64
import json
import threading
from collections.abc import Iterator
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quorum.apps.web.endpoints import Endpoint, WebhookDispatcher, deliveries_of, read_endpoints
from quorum.client import read_webhook
from quorum.core.errors import ConfigurationError
from quorum.core.messages import now
from quorum.core.webhooks import WebhookRefused, sign_webhook, verify_webhook
from quorum.store.ledger import Ledger
from tests.apps.web.serving import event, serving
from tests.store.ledger.messages_for_ledger import verdict

SECRET = "whsec_" + base64.b64encode(b"k" * 32).decode()


class Platform:
    """A platform's service that takes webhooks, or refuses the first so many."""

    def __init__(self) -> None:
        self.requests: list[tuple[dict[str, str], bytes]] = []
        self.refuse = 0
        platform = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                platform.requests.append((dict(self.headers), body))
                status = 204
                if platform.refuse > 0:
                    platform.refuse -= 1
                    status = 500
                self.send_response(status)
                self.end_headers()

            def log_message(self, *args: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.endpoint = Endpoint("shop", f"http://127.0.0.1:{self.server.server_port}/h", SECRET)


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


@given(body=st.binary(max_size=200), change=st.integers(0, 200))
def test_a_signature_holds_for_exactly_its_body(body: bytes, change: int) -> None:
    headers = sign_webhook(SECRET, "id1", body, now())
    assert verify_webhook(SECRET, headers, body) == "id1"
    other = body[:change] + b"!" + body[change:]
    with pytest.raises(WebhookRefused):
        verify_webhook(SECRET, headers, other)


def test_what_is_old_foreign_or_incomplete_is_refused() -> None:
    headers = sign_webhook(SECRET, "id1", b"{}", now())
    with pytest.raises(WebhookRefused, match="old"):
        verify_webhook(SECRET, headers, b"{}", now=now() + timedelta(minutes=6))
    other = "whsec_" + base64.b64encode(b"o" * 32).decode()
    with pytest.raises(WebhookRefused, match="no signature"):
        verify_webhook(other, headers, b"{}")
    with pytest.raises(WebhookRefused, match="no signature"):
        verify_webhook(SECRET, headers | {"webhook-id": "id2"}, b"{}")
    for name in headers:
        with pytest.raises(WebhookRefused, match="missing"):
            verify_webhook(SECRET, {k: v for k, v in headers.items() if k != name}, b"{}")
    # A key that is being changed: two signatures, one of which fits.
    both = headers | {"webhook-signature": "v1,AAAA " + headers["webhook-signature"]}
    assert verify_webhook(SECRET, both, b"{}") == "id1"
    with pytest.raises(ConfigurationError, match="random bytes"):
        sign_webhook("whsec_c2hvcnQ=", "id", b"", now())


def test_the_published_example_of_standard_webhooks() -> None:
    from datetime import UTC, datetime

    headers = sign_webhook(
        "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
        "msg_p5jXN8AQM9LWM0D4loKWxJek",
        b'{"test": 2432232314}',
        datetime.fromtimestamp(1614265330, UTC),
    )
    assert headers["webhook-signature"] == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_a_verdict_is_told_once_and_again_until_it_is_taken(
    ledger: Ledger, platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("quorum.apps.web.endpoints.BACK_OFF", (0, 0, 0))
    told = verdict(1)
    ledger.record([told, *deliveries_of(told, [platform.endpoint])])
    ledger.record([told, *deliveries_of(told, [platform.endpoint])])
    platform.refuse = 2
    webhooks = WebhookDispatcher(ledger, [platform.endpoint])
    while webhooks.deliver_due():
        pass
    assert len(platform.requests) == 3
    ids = {read_webhook(SECRET, headers, body)[0] for headers, body in platform.requests}
    assert len(ids) == 1
    assert read_webhook(SECRET, *platform.requests[-1])[1] == told
    ledger.record([told, *deliveries_of(told, [platform.endpoint])])
    assert not webhooks.deliver_due()


def test_an_endpoint_that_never_takes_is_given_up(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("quorum.apps.web.endpoints.BACK_OFF", (0, 0))
    gone = Endpoint("gone", "http://127.0.0.1:9/", SECRET)
    ledger.record(deliveries_of(verdict(1), [gone]))
    webhooks = WebhookDispatcher(ledger, [gone])
    tries = 0
    while webhooks.deliver_due():
        tries += 1
    assert tries == 3


def test_two_couriers_tell_each_verdict_once(ledger: Ledger, platform: Platform) -> None:
    ledger.record([d for n in range(40) for d in deliveries_of(verdict(n), [platform.endpoint])])

    def work() -> None:
        webhooks = WebhookDispatcher(ledger, [platform.endpoint])
        while webhooks.deliver_due():
            pass

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(platform.requests) == 40
    assert len({headers["webhook-id"] for headers, _ in platform.requests}) == 40


def test_the_service_tells_its_verdicts(ledger: Ledger, platform: Platform) -> None:
    with serving(ledger=ledger, endpoints=[platform.endpoint]) as client:
        made = client.post("/v1/moderate", json=event(1, "bad")).json()["verdict"]
        for _ in range(200):
            if platform.requests:
                break
            threading.Event().wait(0.05)
    _, told = read_webhook(SECRET, *platform.requests[0])
    assert told.id == made["id"]
    assert json.loads(platform.requests[0][1])["type"] == "verdict"


def test_only_asked_for_actions_are_told() -> None:
    from quorum.core.messages import Action

    chosen = Endpoint("e", "https://x", SECRET, (Action.REMOVE,))
    assert deliveries_of(verdict(1), [chosen]) == []
    assert len(deliveries_of(verdict(1, action=Action.REMOVE), [chosen])) == 1


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("- {name: a, url: 'https://x', secret_env: HOOK}", None),
        ("- {name: a, url: 'http://127.0.0.1:1/x', secret_env: HOOK}", None),
        ("- {name: a, url: 'http://example.org/x', secret_env: HOOK}", "https"),
        ("- {name: a, url: 'https://x', secret_env: NO_SUCH}", "NO_SUCH"),
        ("- {name: a, url: 'https://x', secret_env: WEAK}", "random bytes"),
        ("- {name: a, url: 'https://x'}", "secret_env"),
        ("just words", "YAML list"),
        ("[", "YAML list"),
        (
            2 * "- {name: a, url: 'https://x', secret_env: HOOK}\n",
            "one name",
        ),
    ],
)
def test_the_file_of_endpoints(
    text: str, told: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOOK", SECRET)
    monkeypatch.setenv("WEAK", "abc")
    file = tmp_path / "hooks.yaml"
    file.write_text(text)
    if told is None:
        assert read_endpoints(file)[0].secret == SECRET
        return
    with pytest.raises(ConfigurationError, match=told):
        read_endpoints(file)


@pytest.mark.parametrize("seconds", ["9" * 400, "-1", " 1", "1_0", "\u0661", "1e9", "", "9" * 13])
def test_a_timestamp_that_is_no_time_is_refused(seconds: str) -> None:
    body = b"{}"
    headers = sign_webhook(SECRET, "msg", body, now()) | {"webhook-timestamp": seconds}
    with pytest.raises(WebhookRefused, match="not a number of seconds"):
        verify_webhook(SECRET, headers, body)
