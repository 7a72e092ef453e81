"""The channels of alerts: a signed webhook, Slack's JSON, and e-mail by SMTP.

Secrets are read from the environment when the process starts; no text of an error holds them.
"""

from __future__ import annotations

import json
import os
import smtplib
import ssl
from collections.abc import Callable, Mapping
from dataclasses import asdict
from datetime import datetime
from email.message import EmailMessage
from email.utils import format_datetime
from typing import Any, Final, Protocol

import httpx

from quorum.apps.alerts.words import Words
from quorum.core.alert_settings import AlertSettings, EmailChannel, SlackChannel, WebhookChannel
from quorum.core.errors import ConfigurationError
from quorum.core.messages import now
from quorum.core.secure_urls import is_secure_url
from quorum.core.webhooks import sign_webhook
from quorum.store.alerts.episodes import Event
from quorum.store.alerts.values import Alert

__all__ = ["CALL_SECONDS", "Sender", "open_senders", "slack_body", "webhook_body"]

#: Seconds until an attempt is given up.
CALL_SECONDS: Final = 10.0


class Sender(Protocol):
    """Tells somebody of an alert."""

    name: str

    def send(self, notice_id: str, event: Event, alert: Alert, words: Words) -> str | None:
        """Send it; returns why it failed, or None. ``notice_id`` is the same for each attempt."""
        ...


def open_senders(
    settings: AlertSettings, environment: Mapping[str, str] = os.environ
) -> list[Sender]:
    """The channels of the settings, with their secrets.

    Raises:
        ConfigurationError: If a secret is absent or cannot be used.
    """
    made: list[Sender] = []
    for channel in settings.channels:
        if isinstance(channel, WebhookChannel):
            secret = _secret(channel.name, channel.secret_env, environment)
            sign_webhook(secret, "check", b"", now())
            made.append(_Webhook(channel, secret))
        elif isinstance(channel, SlackChannel):
            url = _secret(channel.name, channel.url_env, environment)
            if not is_secure_url(url):
                msg = f"alerts: {channel.name}: the URL in {channel.url_env} must be https"
                raise ConfigurationError(msg)
            made.append(_Slack(channel.name, url))
        else:
            password = None
            if channel.password_env is not None:
                password = _secret(channel.name, channel.password_env, environment)
            made.append(_Email(channel, password))
    return made


def _secret(name: str, variable: str, environment: Mapping[str, str]) -> str:
    value = environment.get(variable, "")
    if not value:
        msg = f"alerts: {name}: the environment has no {variable} with its secret"
        raise ConfigurationError(msg)
    return value


def webhook_body(event: Event, alert: Alert, words: Words) -> dict[str, Any]:
    """The body of a webhook."""
    found = alert.opened if event == "opened" else (alert.last or alert.opened)
    figures = {name: value for name, value in asdict(found).items() if name != "signal"}
    return {
        "type": f"alert.{event}",
        "timestamp": alert.opened_at if event == "opened" else alert.resolved_at,
        "data": {
            "id": alert.id,
            "kind": alert.signal.kind,
            "name": alert.signal.name,
            "opened_at": alert.opened_at,
            "resolved_at": alert.resolved_at,
            "title": words.title,
            "text": words.text,
            "link": words.link,
            "found": figures,
        },
    }


def slack_body(words: Words) -> dict[str, Any]:
    """What Slack, Mattermost and Rocket.Chat take; the text is escaped as Slack asks for."""
    title, text = _escaped(words.title), _escaped(words.text)
    link = f"\n<{words.link}>" if words.link else ""
    block = {"type": "section", "text": {"type": "mrkdwn", "text": f"*{title}*\n{text}{link}"}}
    return {"text": f"{title}\n{text}{link}", "blocks": [block]}


def _escaped(text: str) -> str:
    """Text in which nobody is mentioned and nothing is a link."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _post(url: str, body: bytes, headers: Mapping[str, str]) -> str | None:
    try:
        with (
            httpx.Client(timeout=CALL_SECONDS, follow_redirects=False) as client,
            client.stream("POST", url, content=body, headers=dict(headers)) as response,
        ):
            status = response.status_code
    except (httpx.HTTPError, ValueError) as error:
        # The text of such an error may hold the URL.
        return type(error).__name__
    return None if 200 <= status < 300 else f"answered {status}"


class _Webhook:
    def __init__(self, channel: WebhookChannel, secret: str) -> None:
        self.name = channel.name
        self._url, self._secret = channel.url, secret

    def send(self, notice_id: str, event: Event, alert: Alert, words: Words) -> str | None:
        body = json.dumps(webhook_body(event, alert, words)).encode()
        headers = sign_webhook(self._secret, notice_id, body, now())
        return _post(self._url, body, {**headers, **_JSON})


class _Slack:
    def __init__(self, name: str, url: str) -> None:
        self.name = name
        self._url = url

    def send(self, notice_id: str, event: Event, alert: Alert, words: Words) -> str | None:
        return _post(self._url, json.dumps(slack_body(words)).encode(), _JSON)


_JSON: Final = {"content-type": "application/json", "user-agent": "quorum"}


class _Email:
    def __init__(
        self,
        channel: EmailChannel,
        password: str | None,
        context: Callable[[], ssl.SSLContext] = ssl.create_default_context,
    ) -> None:
        self.name = channel.name
        self._channel = channel
        self._password = password
        self._context = context

    def send(self, notice_id: str, event: Event, alert: Alert, words: Words) -> str | None:
        message = self._message(notice_id, alert, words)
        try:
            with self._connected() as server:
                if self._channel.user is not None:
                    server.login(self._channel.user, self._password or "")
                refused = server.send_message(message)
        except (smtplib.SMTPException, OSError, ValueError) as error:
            code = getattr(error, "smtp_code", "")
            return f"{type(error).__name__} {code}".strip()
        # Some got it: they must not get it again.
        return None if len(refused) < len(self._channel.to) else "all recipients were refused"

    def _connected(self) -> smtplib.SMTP:
        channel = self._channel
        if channel.security == "tls":
            return smtplib.SMTP_SSL(
                channel.host, channel.port, timeout=CALL_SECONDS, context=self._context()
            )
        server = smtplib.SMTP(channel.host, channel.port, timeout=CALL_SECONDS)
        if channel.security == "starttls":
            try:
                server.starttls(context=self._context())
            except (smtplib.SMTPException, OSError):
                server.close()
                raise
        return server

    def _message(self, notice_id: str, alert: Alert, words: Words) -> EmailMessage:
        made = EmailMessage()
        made["Subject"] = f"[Quorum] {words.title}"
        made["From"] = self._channel.sender
        made["To"] = ", ".join(self._channel.to)
        domain = self._channel.sender.rpartition("@")[2]
        made["Date"] = format_datetime(datetime.fromisoformat(alert.opened_at))
        # The same for each attempt; the end of an alert is shown below its beginning.
        made["Message-ID"] = f"<{notice_id}@{domain}>"
        if notice_id != f"{alert.id}-opened":
            made["In-Reply-To"] = f"<{alert.id}-opened@{domain}>"
        made["Auto-Submitted"] = "auto-generated"
        link = f"\n\n{words.link}" if words.link else ""
        made.set_content(f"{words.text}{link}\n")
        return made
