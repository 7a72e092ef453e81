"""Clients of Kafka: librdkafka, with what the environment says of security.

The library is an extra (``pip install 'quorum-moderation[kafka]'``) and is imported at the first
use.
"""

from __future__ import annotations

import difflib
import logging
import os
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from quorum.core.errors import ConfigurationError
from quorum.core.private_files import read_secret
from quorum.pipeline.streams.away import ABSENCE_SECONDS

__all__ = [
    "admin_client",
    "attributes_of",
    "consumer_client",
    "library",
    "producer_client",
    "refuses_credentials",
    "security",
]

_log = logging.getLogger(__name__)

_PREFIX: Final = "QUORUM_KAFKA_"

#: By variable, librdkafka's property
#: (https://github.com/confluentinc/librdkafka/blob/master/CONFIGURATION.md).
_PROPERTIES: Final = {
    "SECURITY_PROTOCOL": "security.protocol",
    "SASL_MECHANISM": "sasl.mechanism",
    "SASL_USERNAME": "sasl.username",
    "SASL_OAUTH_CLIENT_ID": "sasl.oauthbearer.client.id",
    "SASL_OAUTH_SCOPE": "sasl.oauthbearer.scope",
    "SASL_OAUTH_TOKEN_URL": "sasl.oauthbearer.token.endpoint.url",
    "SSL_CA": "ssl.ca.location",
    "SSL_CERTIFICATE": "ssl.certificate.location",
    "SSL_KEY": "ssl.key.location",
}
_SECRETS: Final = {
    "SASL_PASSWORD": "sasl.password",
    "SASL_OAUTH_CLIENT_SECRET": "sasl.oauthbearer.client.secret",
    "SSL_KEY_PASSWORD": "ssl.key.password",
}
_PROTOCOLS: Final = ("PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL")

#: Seconds after which a worker that is gone is told from the group, and its partitions are others'.
SESSION_SECONDS = 15.0

#: Pub/Sub's limit of a message. A topic may allow less: what it refuses is told as refused.
_MOST_BYTES: Final = 10_485_760


def library() -> Any:
    """The package ``confluent_kafka``.

    Raises:
        ConfigurationError: If it is not installed.
    """
    try:
        import confluent_kafka
    except ImportError:
        msg = "Kafka needs the extra kafka: pip install 'quorum-moderation[kafka]'"
        raise ConfigurationError(msg) from None
    return confluent_kafka


def security(environment: Mapping[str, str] | None = None) -> dict[str, str]:
    """Properties of librdkafka for TLS and SASL, from the variables ``QUORUM_KAFKA_…``.

    Args:
        environment: The environment; by default this process's.

    Raises:
        ConfigurationError: If a variable is unknown, or a value cannot be used. No value is quoted.
    """
    given = os.environ if environment is None else environment
    names = {name.removeprefix(_PREFIX) for name in given if name.startswith(_PREFIX)}
    known = {*_PROPERTIES, *_SECRETS, *(f"{name}_FILE" for name in _SECRETS)}
    for name in sorted(names - known):
        near = difflib.get_close_matches(name, sorted(known), n=1)
        mend = f"; did you mean {_PREFIX}{near[0]}?" if near else ""
        msg = f"{_PREFIX}{name} is no variable of Kafka's{mend} (docs/kafka.md lists them)"
        raise ConfigurationError(msg)
    found = {
        key: value for name, key in _PROPERTIES.items() if (value := given.get(_PREFIX + name))
    }
    for name, key in _SECRETS.items():
        variable = _PREFIX + name
        text, file = given.get(variable), given.get(f"{variable}_FILE")
        if secret := read_secret(text, file, variable, "a secret of Kafka's"):
            found[key] = secret[0].rstrip("\r\n")
    return _completed(found)


def _completed(found: dict[str, str]) -> dict[str, str]:
    """The properties with the protocol and mechanism that the others imply."""
    oauth = any(key.startswith("sasl.oauthbearer.") for key in found)
    sasl = oauth or any(key.startswith("sasl.") for key in found)
    tls = any(key.startswith("ssl.") for key in found)
    implied = "SASL_SSL" if sasl else "SSL" if tls else "PLAINTEXT"
    protocol = found.get("security.protocol", implied).upper()
    if protocol not in _PROTOCOLS:
        msg = f"{_PREFIX}SECURITY_PROTOCOL must be one of {', '.join(_PROTOCOLS)}"
        raise ConfigurationError(msg)
    if sasl and not protocol.startswith("SASL"):
        msg = f"{_PREFIX}SASL_… is set, and {_PREFIX}SECURITY_PROTOCOL={protocol} uses no SASL"
        raise ConfigurationError(msg)
    found["security.protocol"] = protocol
    if protocol.startswith("SASL"):
        found.setdefault("sasl.mechanism", "OAUTHBEARER" if oauth else "PLAIN")
        if oauth:
            found["sasl.oauthbearer.method"] = "oidc"
        if protocol == "SASL_PLAINTEXT" and found["sasl.mechanism"] == "PLAIN":
            _log.warning("SASL_PLAINTEXT with PLAIN sends Kafka's password unencrypted")
    return found


def _shared(brokers: str, failed: Callable[[Any], None] | None) -> dict[str, Any]:
    config: dict[str, Any] = {
        "bootstrap.servers": brokers,
        "client.id": "quorum",
        "broker.address.family": "any",
        "log.connection.close": False,
        "reconnect.backoff.ms": 100,
        "reconnect.backoff.max.ms": 5_000,
        "socket.keepalive.enable": True,
        "logger": _quiet(),
        **security(),
    }
    if failed is not None:
        config["error_cb"] = failed
    return config


def _quiet() -> logging.Logger:
    """Where librdkafka's own lines go: our own warnings say what of it matters."""
    logger = logging.getLogger("quorum.kafka.library")
    if logger.level == logging.NOTSET:
        logger.setLevel(logging.CRITICAL)
    return logger


def _made(make: Callable[[dict[str, Any]], Any], config: dict[str, Any]) -> Any:
    try:
        return make(config)
    except (library().KafkaException, ValueError) as error:
        told = " ".join(str(error).split())
        for secret in (config[key] for key in _SECRETS.values() if key in config):
            told = told.replace(secret, "…")
        msg = f"Kafka's client refuses its configuration: {told}"
        raise ConfigurationError(msg) from None


def consumer_client(
    brokers: str,
    group: str,
    failed: Callable[[Any], None] | None = None,
    committed: Callable[[Any, Any], None] | None = None,
) -> Any:
    """A consumer of a group, which commits only what it is told to.

    Args:
        brokers: ``host:port``, with commas.
        group: The consumer group.
        failed: Is called with each error of the connection.
        committed: Is called with the error, if any, and the partitions of each commit.

    Raises:
        ConfigurationError: If the library is absent or refuses the configuration.
    """
    session = round(SESSION_SECONDS * 1000)
    return _made(
        library().Consumer,
        {
            **_shared(brokers, failed),
            "group.id": group,
            **({"on_commit": committed} if committed else {}),
            "enable.auto.commit": False,
            "enable.auto.offset.store": False,
            "auto.offset.reset": "earliest",
            "partition.assignment.strategy": "cooperative-sticky",
            "session.timeout.ms": session,
            "heartbeat.interval.ms": max(100, session // 5),
            "fetch.message.max.bytes": _MOST_BYTES,
            # Of a broker that does not answer as soon as there is a message.
            "fetch.wait.max.ms": 100,
            "queued.max.messages.kbytes": 65_536,
        },
    )


def producer_client(
    brokers: str,
    failed: Callable[[Any], None] | None = None,
    seconds: float = ABSENCE_SECONDS,
) -> Any:
    """A producer whose messages are durable, and in order, once it confirms them.

    Args:
        brokers: ``host:port``, with commas.
        failed: Is called with each error of the connection.
        seconds: How long a message is tried before it fails.

    Raises:
        ConfigurationError: If the library is absent or refuses the configuration.
    """
    patience = round(seconds * 1000)
    return _made(
        library().Producer,
        {
            **_shared(brokers, failed),
            "acks": "all",
            "enable.idempotence": True,
            # As Kafka's own clients in Java do: one key is one partition, whoever publishes.
            "partitioner": "murmur2_random",
            "delivery.timeout.ms": patience,
            "topic.metadata.propagation.max.ms": patience,
            "message.max.bytes": _MOST_BYTES,
            "linger.ms": 1,
        },
    )


def admin_client(brokers: str, failed: Callable[[Any], None] | None = None) -> Any:
    """A client that asks for topics and groups, and that makes topics.

    Raises:
        ConfigurationError: If the library is absent or refuses the configuration.
    """
    from importlib import import_module

    library()
    admin = import_module("confluent_kafka.admin")
    return _made(admin.AdminClient, _shared(brokers, failed))


def attributes_of(headers: Iterable[tuple[str, bytes | None]] | None) -> dict[str, str]:
    """The headers of a message as attributes; of several with one name, the last."""
    return {
        name: "" if value is None else value.decode("utf-8", errors="replace")
        for name, value in headers or ()
    }


def refuses_credentials(error: Any) -> bool:
    """Whether an error says that a broker refuses who asks, or how: to wait will not help."""
    kafka = library().KafkaError
    return error is not None and error.code() in (
        kafka._AUTHENTICATION,
        kafka._SSL,
        kafka.SASL_AUTHENTICATION_FAILED,
    )
