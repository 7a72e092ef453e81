"""Publishers of the settings: their public keys, and what each may say."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Annotated, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    model_validator,
)

from quorum.core.errors import ConfigurationError
from quorum.core.identity.refusal import IdentityRefused, Refusal
from quorum.core.identity.signing import (
    ENVIRONMENT,
    KEY,
    NAME,
    PUBLISHER,
    SIGNATURE,
    SigningKey,
    decoded,
    verify_signature,
)
from quorum.core.messages import Identifier, Time

__all__ = ["Publisher", "PublisherKey", "Publishers", "Stream", "check_signer", "verified"]

#: The streams that messages are published to.
Stream = Literal["uploads", "predictions", "verdicts", "reviews", "policies", "dead-letters"]


def _name(value: str) -> str:
    if not NAME.fullmatch(value):
        msg = "must be 1 to 64 letters, digits and _.-, and begin with a letter or digit"
        raise ValueError(msg)
    return value


def _public(value: str) -> str:
    if decoded(value, 32) is None:
        msg = "must be an Ed25519 public key: 32 bytes in Base64, as `quorum keys new` prints it"
        raise ValueError(msg)
    return value


def _with_zone(value: object) -> object:
    """A time of YAML, which may have no zone, in UTC."""
    if isinstance(value, datetime) and value.tzinfo is None:
        return value.replace(tzinfo=UTC)
    return value


_Name = Annotated[str, AfterValidator(_name)]


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class PublisherKey(_Section):
    """A public key of a publisher."""

    #: The Ed25519 public key, 32 bytes in Base64.
    public: Annotated[str, AfterValidator(_public)]
    #: When it is no longer accepted; None for never.
    until: Annotated[Time, BeforeValidator(_with_zone)] | None = None


class Publisher(_Section):
    """A participant that publishes messages, and what it may say."""

    #: Its public keys, by name; all are accepted, so that keys can be rotated.
    keys: Annotated[dict[_Name, PublisherKey], Field(min_length=1)]
    #: The streams that it may publish to; ``reviews`` is the right to decide as a human,
    #: ``policies`` the right to put a policy in force.
    streams: Annotated[tuple[Stream, ...], Field(min_length=1)]
    #: The detectors in whose names it may publish predictions.
    detectors: tuple[Identifier, ...] = ()

    @model_validator(mode="after")
    def _detectors_go_with_predictions(self) -> Publisher:
        if bool(self.detectors) != ("predictions" in self.streams):
            msg = "streams must hold predictions if there are detectors, and only then"
            raise ValueError(msg)
        return self


def _owned_once(publishers: dict[str, Publisher]) -> dict[str, Publisher]:
    owners: dict[str, str] = {}
    for name, publisher in publishers.items():
        for detector in publisher.detectors:
            if owners.setdefault(detector, name) != name:
                msg = f"the detector {detector} belongs to both {owners[detector]} and {name}"
                raise ValueError(msg)
    return publishers


#: Publishers by name; a detector's name belongs to one of them.
Publishers = Annotated[dict[_Name, Publisher], AfterValidator(_owned_once)]


def verified(
    publishers: Mapping[str, Publisher],
    event_type: str,
    data: bytes,
    attributes: Mapping[str, str],
    at: datetime,
) -> tuple[str, Publisher]:
    """Verify who published a message.

    Args:
        publishers: The publishers of the settings.
        event_type: The CloudEvents type of the stream's messages.
        data: The body.
        attributes: The attributes.
        at: The time.

    Returns:
        The publisher's name and rights.

    Raises:
        IdentityRefused: If the message is not signed by one of them for this stream.
    """
    name, key_id, signature = (attributes.get(each, "") for each in (PUBLISHER, KEY, SIGNATURE))
    if not (name and key_id and signature):
        msg = f"not signed: {PUBLISHER}, {KEY} and {SIGNATURE} must be among its attributes"
        raise IdentityRefused(Refusal.UNSIGNED, msg)
    # Unknown names are the sender's words, and are not quoted.
    publisher = publishers.get(name)
    if publisher is None:
        msg = "its publisher is not among the publishers of the settings"
        raise IdentityRefused(Refusal.UNKNOWN_PUBLISHER, msg)
    key = publisher.keys.get(key_id)
    if key is None:
        msg = f"its key is not among the keys of the publisher {name}"
        raise IdentityRefused(Refusal.UNKNOWN_KEY, msg)
    if not verify_signature(key.public, data, attributes):
        msg = f"its signature is not that of the key {key_id} of the publisher {name}"
        raise IdentityRefused(Refusal.WRONG_SIGNATURE, msg)
    if key.until is not None and at >= key.until:
        msg = f"the key {key_id} of the publisher {name} was accepted until {key.until}"
        raise IdentityRefused(Refusal.EXPIRED_KEY, msg)
    if attributes.get("ce-type") != event_type:
        msg = f"it was not signed as {event_type}: another stream's message, or no ce-type"
        raise IdentityRefused(Refusal.WRONG_STREAM, msg)
    return name, publisher


def check_signer(
    publishers: Mapping[str, Publisher],
    signer: SigningKey | None,
    streams: Iterable[str],
    detectors: Iterable[str] = (),
    *,
    at: datetime,
) -> None:
    """Check that what this process is about to publish will be accepted.

    Args:
        publishers: The publishers of the settings; without any, nothing is checked.
        signer: This process' key.
        streams: Where it publishes.
        detectors: The detectors whose predictions it publishes.
        at: The time.

    Raises:
        ConfigurationError: If it has no key, an unknown one, or may not publish this.
    """
    wanted = sorted(set(streams))
    if not publishers or not wanted:
        return
    if signer is None:
        msg = (
            f"publishers are configured, and this process has no key to sign {', '.join(wanted)} "
            f"with: set {ENVIRONMENT} or {ENVIRONMENT}_FILE (`quorum keys new` makes a key)"
        )
        raise ConfigurationError(msg)
    publisher = publishers.get(signer.publisher)
    known = None if publisher is None else publisher.keys.get(signer.id)
    if publisher is None or known is None or known.public != signer.public:
        msg = (
            f"the signing key {signer.id} of {signer.publisher} is not in the settings: add "
            f"publishers.{signer.publisher}.keys.{signer.id}.public: {signer.public}"
        )
        raise ConfigurationError(msg)
    if known.until is not None and at >= known.until:
        msg = f"the signing key {signer.id} of {signer.publisher} expired on {known.until}"
        raise ConfigurationError(msg)
    if lacking := [each for each in wanted if each not in publisher.streams]:
        msg = (
            f"the publisher {signer.publisher} may not publish {', '.join(lacking)}: add them to "
            f"publishers.{signer.publisher}.streams"
        )
        raise ConfigurationError(msg)
    if strange := sorted(set(detectors) - set(publisher.detectors)):
        msg = (
            f"the publisher {signer.publisher} may not speak for {', '.join(strange)}, which run "
            f"here: add them to publishers.{signer.publisher}.detectors"
        )
        raise ConfigurationError(msg)
