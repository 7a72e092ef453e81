from __future__ import annotations

import json
from typing import Any

import pytest

from quorum.apps.alerts.channels import open_senders, slack_body
from quorum.apps.alerts.words import words_of
from quorum.core.alert_settings import AlertSettings
from quorum.core.errors import ConfigurationError
from quorum.core.webhooks import verify_webhook
from quorum.store.alerts.values import Alert, Judgement, Signal, State
from tests.apps.alerts.conftest import SECRET

EVIL = "spam <!channel>\r\nBcc: all@example.org & co"


def alert(kind: Any = "rule", name: str = "spam links", resolved: bool = False) -> Alert:
    signal = Signal(kind, name)
    found = Judgement(signal, State.OFF, True, 0.12, 0.1, 0.1416, 0.03, 120, 1000, 4)
    back = Judgement(signal, State.USUAL, True, 0.031, 0.02, 0.04, 0.03, 31, 1000, 4)
    began, ended = "2026-11-26T12:00:00+00:00", "2026-11-26T14:00:00+00:00"
    return Alert(
        "a1", signal, began, ended if resolved else None, found, back if resolved else None
    )


def sender(channel: dict[str, Any], **environment: str) -> Any:
    (made,) = open_senders(AlertSettings(channels=[channel]), environment)
    return made


def mail(port: int, **more: Any) -> dict[str, Any]:
    given = {
        "kind": "email",
        "name": "mail",
        "host": "localhost",
        "port": port,
        "security": "none",
        "sender": "quorum@example.org",
        "to": ["ana@example.org", "ben@example.org"],
    }
    return {**given, **more}


def send(one: Any, made: Alert, console: str | None = "https://console.example.org") -> str | None:
    event = "resolved" if made.resolved_at else "opened"
    return one.send(f"a1-{event}", event, made, words_of(made, event, console))


def test_a_webhook_is_signed_and_names_the_page(receiver):
    channel = {"kind": "webhook", "name": "desk", "url": receiver.url, "secret_env": "S"}
    one = sender(channel, S=SECRET)
    assert send(one, alert()) is None
    assert send(one, alert(resolved=True)) is None
    (headers, body), (_, ended) = receiver.taken
    assert verify_webhook(SECRET, headers, body) == "a1-opened"
    told = json.loads(body)
    assert told["type"] == "alert.opened"
    assert told["data"]["link"] == "https://console.example.org/search?rule=spam%20links"
    assert told["data"]["found"]["hits"] == 120
    assert "12 % now (120 of 1,000; 95 % interval 10 % to 14.2 %), 3 %" in told["data"]["text"]
    assert json.loads(ended)["type"] == "alert.resolved"


def test_a_receiver_that_refuses_or_is_away_is_told_without_its_url(receiver):
    receiver.status = 500
    one = sender({"kind": "slack", "name": "team", "url_env": "U"}, U=receiver.url)
    assert send(one, alert()) == "answered 500"
    receiver.status = 302
    assert send(one, alert()) == "answered 302"
    receiver.close()
    error = send(one, alert())
    assert error == "ConnectError"


def test_slack_gets_text_and_blocks_in_which_nobody_is_mentioned(receiver):
    one = sender({"kind": "slack", "name": "team", "url_env": "U"}, U=receiver.url)
    assert send(one, alert(name=EVIL)) is None
    (body,) = receiver.bodies()
    assert set(body) == {"text", "blocks"}
    assert body["blocks"][0]["type"] == "section"
    for text in (body["text"], body["blocks"][0]["text"]["text"]):
        assert "<!channel>" not in text
        assert "&lt;!channel&gt;" in text
        assert "<https://console.example.org/search?rule=" in text
    assert "<" not in slack_body(words_of(alert(name=EVIL), "opened", None))["text"]


@pytest.mark.parametrize("security", ["none", "starttls", "tls"])
def test_an_e_mail_is_sent_as_the_server_asks(smtp, security, certificate, monkeypatch):
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate[0]))
    with smtp(security, users=True) as (box, port):
        channel = mail(port, security=security, user="desk", password_env="P")
        one = sender(channel, P="p4ssword")
        assert send(one, alert()) is None
        assert send(one, alert(resolved=True)) is None
        wrong = sender(channel, P="guess")
        assert send(wrong, alert()) == "SMTPAuthenticationError 535"
    assert box.secure == [security != "none"] * 2
    (to, first), (_, second) = box.taken
    assert to == ["ana@example.org", "ben@example.org"]
    assert first["Subject"] == "[Quorum] More than usual: verdicts by the rule spam links"
    assert first["From"] == "quorum@example.org"
    assert first["Auto-Submitted"] == "auto-generated"
    assert first["Message-ID"] == "<a1-opened@example.org>"
    assert second["In-Reply-To"] == first["Message-ID"]
    text = first.get_content()
    assert "12 % now" in text
    assert "https://console.example.org/search?rule=spam%20links" in text
    assert second["Subject"] == "[Quorum] As usual again: verdicts by the rule spam links"


def test_a_server_whose_certificate_is_not_known_gets_no_password(smtp):
    with smtp("starttls", users=True) as (box, port):
        one = sender(mail(port, security="starttls", user="desk", password_env="P"), P="p4ssword")
        assert send(one, alert()) == "SSLCertVerificationError"
    assert box.taken == []


def test_who_took_an_e_mail_does_not_get_it_again(smtp):
    with smtp() as (box, port):
        box.refused = {"ben@example.org"}
        one = sender(mail(port))
        assert send(one, alert()) is None
        box.refused = {"ana@example.org", "ben@example.org"}
        assert send(one, alert()) == "SMTPRecipientsRefused"
    assert [to for to, _ in box.taken] == [["ana@example.org"]]
    assert send(one, alert()) == "ConnectionRefusedError"


def test_a_rule_s_name_writes_no_header(smtp):
    with smtp() as (box, port):
        assert send(sender(mail(port)), alert(name=EVIL)) is None
    ((to, made),) = box.taken
    assert to == ["ana@example.org", "ben@example.org"]
    assert made["Bcc"] is None


def test_a_channel_without_its_secret_stops_the_start():
    channel = {"kind": "webhook", "name": "desk", "url": "https://a.example", "secret_env": "S"}
    with pytest.raises(ConfigurationError, match="the environment has no S"):
        sender(channel)
    with pytest.raises(ConfigurationError, match="random bytes"):
        sender(channel, S="short")
    with pytest.raises(ConfigurationError, match="must be https") as told:
        sender({"kind": "slack", "name": "team", "url_env": "U"}, U="http://hooks.example/s3cret")
    assert "s3cret" not in str(told.value)


@pytest.mark.parametrize(
    ("more", "problem"),
    [
        ({"security": "none", "host": "smtp.example.org"}, "is for a server on loopback"),
        ({"user": "desk"}, "user and password_env come together"),
        ({"to": []}, "at least 1 item"),
        ({"sender": "a@b\nBcc: c@d"}, "must be an e-mail address alone"),
    ],
    ids=["in the clear", "no password", "to nobody", "a header"],
)
def test_settings_of_e_mail_that_cannot_be(more, problem):
    with pytest.raises(ValueError, match=problem):
        AlertSettings(channels=[mail(25, **more)])


def test_two_channels_of_one_name_are_refused():
    one = {"kind": "slack", "name": "team", "url_env": "U"}
    with pytest.raises(ValueError, match="two channels have one name"):
        AlertSettings(channels=[one, one])


@pytest.mark.parametrize(
    ("kind", "name", "title", "page"),
    [
        ("removals", "", "More than usual: removals", "/overview?window=24h"),
        ("overturned", "", "More than usual: stopped uploads that reviewers allow", "/overview"),
        ("failures", "nsfw", "More than usual: failed predictions of nsfw", "/overview"),
        (
            "drift",
            "nsfw",
            "scores of nsfw are spread otherwise than in the weeks before",
            "/overview",
        ),
    ],
)
def test_each_kind_has_its_words_and_its_page(kind, name, title, page):
    words = words_of(alert(kind, name), "opened", "https://c.example/")
    assert words.title == title
    assert words.link == f"https://c.example{page}"
    assert words_of(alert(kind, name), "opened", None).link is None
