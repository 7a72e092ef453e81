"""The settings of alerts to people: what is watched, when it is told, and to whom."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from quorum.core.secure_urls import LOOPBACK, is_secure_url

__all__ = [
    "Address",
    "AlertSettings",
    "Channel",
    "EmailChannel",
    "Name",
    "SlackChannel",
    "Url",
    "Variable",
    "WatchedKind",
    "WebhookChannel",
]

#: What can be watched: the share of verdicts by rule, of removals, of decisions that reviewers
#: overturned, of failed predictions; and the distribution of detectors' scores.
WatchedKind = Literal["rule", "removals", "overturned", "failures", "drift"]


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


def _url(value: str) -> str:
    if not is_secure_url(value) or not value.isprintable():
        msg = "must begin with https:// (http only on loopback)"
        raise ValueError(msg)
    return value


def _address(value: str) -> str:
    name, at, domain = value.rpartition("@")
    if not (name and at and domain) or not value.isprintable() or " " in value:
        msg = "must be an e-mail address alone, such as desk@example.org"
        raise ValueError(msg)
    return value


Url = Annotated[str, AfterValidator(_url)]
Address = Annotated[str, AfterValidator(_address)]
Variable = Annotated[str, Field(pattern="^[A-Za-z_][A-Za-z0-9_]*$", max_length=128)]
Name = Annotated[str, Field(pattern="^[A-Za-z0-9_.-]+$", max_length=64)]


class WebhookChannel(_Section):
    """A service that alerts are posted to, signed as Standard Webhooks defines it."""

    kind: Literal["webhook"]
    #: What the ledger, the metrics and logs call it.
    name: Name
    url: Url
    #: The variable of the environment with its secret.
    secret_env: Variable


class SlackChannel(_Section):
    """An incoming webhook of Slack, or of what takes the same JSON (Mattermost, Rocket.Chat)."""

    kind: Literal["slack"]
    name: Name
    #: The variable of the environment with its URL, which is a secret.
    url_env: Variable


class EmailChannel(_Section):
    """An e-mail to some people, through an SMTP server."""

    kind: Literal["email"]
    name: Name
    host: Annotated[str, Field(min_length=1, max_length=253)]
    port: Annotated[int, Field(ge=1, le=65535)] = 587
    #: ``starttls`` or ``tls``; ``none`` only on loopback.
    security: Literal["starttls", "tls", "none"] = "starttls"
    #: The user at the server; None where it asks for none.
    user: str | None = None
    #: The variable of the environment with the user's password.
    password_env: Variable | None = None
    #: Whom the e-mail is from.
    sender: Address
    to: Annotated[tuple[Address, ...], Field(min_length=1, max_length=50)]

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.security == "none" and self.host not in LOOPBACK:
            msg = "security: none is for a server on loopback; use starttls or tls"
            raise ValueError(msg)
        if (self.user is None) != (self.password_env is None):
            msg = "user and password_env come together"
            raise ValueError(msg)
        return self


Channel = Annotated[WebhookChannel | SlackChannel | EmailChannel, Field(discriminator="kind")]


def _different(
    channels: Sequence[WebhookChannel | SlackChannel | EmailChannel],
) -> Sequence[object]:
    names = [one.name for one in channels]
    if len(set(names)) != len(names):
        msg = "two channels have one name; what was sent is kept by name"
        raise ValueError(msg)
    return channels


class AlertSettings(_Section):
    """Alerts to people: rates against the same hours of the last weeks."""

    #: The address of the console, for the link of each alert; None for no link.
    console: Url | None = None
    #: Whom they are sent to.
    channels: Annotated[tuple[Channel, ...], AfterValidator(_different)] = ()
    #: What is watched.
    watch: tuple[WatchedKind, ...] = ("rule", "removals", "overturned", "failures", "drift")
    #: Seconds between two looks.
    every: Annotated[float, Field(ge=5, le=86_400, allow_inf_nan=False)] = 300.0
    #: The minutes that count as now, which are compared with the same minutes of earlier weeks.
    window: Annotated[int, Field(ge=5, le=1440)] = 60
    #: The same for reviewers' decisions, which are fewer.
    review_window: Annotated[int, Field(ge=60, le=7 * 1440)] = 1440
    #: How many earlier weeks are compared with; those with too little are left out.
    weeks: Annotated[int, Field(ge=2, le=12)] = 4
    #: Fewer uploads, decisions or predictions than this, now or in a week, say nothing.
    fewest: Annotated[int, Field(ge=10, le=1_000_000)] = 50
    #: A rate is told if it is so many times the rate of the weeks, or that part of it.
    ratio: Annotated[float, Field(ge=1.05, le=100, allow_inf_nan=False)] = 1.5
    #: An alert ends after so many minutes in which the rate was as usual.
    calm: Annotated[int, Field(ge=0, le=1440)] = 30
