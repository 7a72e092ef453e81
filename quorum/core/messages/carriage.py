"""How JSON may be carried: compressed, in UTF-16, damaged in a character, or inside an envelope.

A message that is not plain UTF-8 JSON is brought to that form here, or refused with what to change.
What is read: gzip, UTF-8 with a byte-order mark, UTF-16 and UTF-32, half a character, the body of a
Pub/Sub push request, and a CloudEvent in structured mode.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
import zlib
from collections.abc import Mapping
from typing import Any, Final

from quorum.core.errors import MalformedMessage

__all__ = ["GZIP", "REPLACEMENT", "decoded", "plain_json", "whole_escapes"]

#: Stands for what is left of a character that was cut, as Unicode recommends.
REPLACEMENT: Final = "\N{REPLACEMENT CHARACTER}"

#: Envelopes and encodings around each other, such as gzip in a push envelope.
_LAYERS: Final = 4
#: Parts of gzip one after the other: each costs a copy of the rest.
_MEMBERS: Final = 64

#: The first bytes of gzip.
GZIP: Final = b"\x1f\x8b"
#: First bytes of compressions that are not read.
_OTHER_COMPRESSIONS: Final = {b"\x28\xb5\x2f\xfd": "Zstandard", b"BZh": "bzip2", b"PK\x03": "ZIP"}

#: In JSON text: an escaped backslash, a pair of surrogates, or half of one.
_ESCAPES: Final = re.compile(
    r"(\\\\|\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2})"
    r"|\\u[dD][89a-fA-F][0-9a-fA-F]{2}"
)
_PAIR: Final = re.compile("[\ud800-\udbff][\udc00-\udfff]")
_SURROGATE: Final = re.compile("[\ud800-\udfff]")


def plain_json(data: bytes, kind: str, limit: int) -> tuple[bytes, str]:
    """Bring the JSON of a message to plain UTF-8.

    Args:
        data: The bytes as they came.
        kind: What the message is, such as ``upload``; empty if that is not known.
        limit: The most bytes that it may have once it is unpacked.

    Returns:
        The JSON, and the layers that were taken off, such as ``gzip in a Pub/Sub push envelope``;
        empty if there was none.

    Raises:
        MalformedMessage: If it is carried in a way that cannot be read. The text says what to
            change, and quotes nothing of the content.
    """
    layers: list[str] = []
    for _ in range(_LAYERS):
        inner, name = _without_layer(data, kind, limit)
        if not name:
            return inner, " in ".join(reversed(layers))
        layers.append(name)
        data = inner
    msg = f"more than {_LAYERS} layers around the {kind}: send the JSON itself"
    raise MalformedMessage(msg)


def _without_layer(data: bytes, kind: str, limit: int) -> tuple[bytes, str]:
    """The data without its outermost layer, and the layer's name; no name if there is none."""
    if data.startswith(GZIP):
        return _decompressed(data, limit), "gzip"
    for magic, name in _OTHER_COMPRESSIONS.items():
        if data.startswith(magic):
            msg = f"compressed as {name}: send the JSON itself, or compress it with gzip"
            raise MalformedMessage(msg)
    text, encoding = _text(data)
    if encoding:
        return text.encode(), encoding
    return _opened(whole_escapes(text), kind)


def _decompressed(data: bytes, limit: int) -> bytes:
    made = b""
    for _ in range(_MEMBERS):  # of RFC 1952, with zeros behind them
        reader = zlib.decompressobj(wbits=31)
        try:
            made += reader.decompress(data, limit + 1 - len(made))
        except zlib.error:
            msg = "gzip that cannot be decompressed: send it whole"
            raise MalformedMessage(msg) from None
        if len(made) > limit:
            msg = f"gzip of more than {limit:,} bytes, which is the limit"
            raise MalformedMessage(msg)
        if not reader.eof:
            msg = "gzip that ends too early: send it whole"
            raise MalformedMessage(msg)
        data = reader.unused_data.lstrip(b"\0")
        if not data:
            return made
    msg = f"gzip of more than {_MEMBERS} parts: compress it as one"
    raise MalformedMessage(msg)


def _text(data: bytes) -> tuple[str, str]:
    """The text of bytes, and its encoding where that is not plain UTF-8."""
    encoding = json.detect_encoding(data)
    if encoding == "utf-8":
        return decoded(data), ""
    if encoding == "utf-8-sig":
        return decoded(data[3:]), "UTF-8 with a byte-order mark"
    name = encoding.upper()[:6]
    try:
        text = data.decode(encoding, "surrogatepass")
    except UnicodeDecodeError:
        msg = f"neither UTF-8 nor valid {name}: send UTF-8"
        raise MalformedMessage(msg) from None
    return _whole(text).removeprefix("\ufeff"), name


def decoded(data: bytes) -> str:
    """The text of UTF-8, with ``REPLACEMENT`` for each character of which a part is missing.

    Half an emoji has two forms: the first bytes of one, where a text was cut after so many bytes,
    and half of a surrogate pair, where one was cut after so many UTF-16 units. Two halves of a
    pair, each encoded by itself (CESU-8), are one character.

    Raises:
        MalformedMessage: If other bytes are not UTF-8: then the text has another encoding.
    """
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        pass
    parts: list[str] = []
    begin = 0
    while begin < len(data):
        rest = data[begin:]
        try:
            parts.append(rest.decode("utf-8", "surrogatepass"))
            break
        except UnicodeDecodeError as error:
            # One byte alone may be a letter of Latin-1; more are a character that was begun.
            if error.end - error.start < 2:
                msg = f"not valid UTF-8 at byte {begin + error.start}: encode the text as UTF-8"
                raise MalformedMessage(msg) from None
            parts += (rest[: error.start].decode("utf-8", "surrogatepass"), REPLACEMENT)
            begin += error.end
    return _whole("".join(parts))


def whole_escapes(text: str) -> str:
    """JSON text with ``REPLACEMENT`` for each escaped half of a surrogate pair."""
    return _ESCAPES.sub(lambda found: found[1] or r"\ufffd", text)


def _whole(text: str) -> str:
    """Text without surrogates: pairs become their character, halves become ``REPLACEMENT``."""
    text = _PAIR.sub(lambda pair: pair[0].encode("utf-16", "surrogatepass").decode("utf-16"), text)
    return _SURROGATE.sub(REPLACEMENT, text)


def _opened(text: str, kind: str) -> tuple[bytes, str]:
    """What an envelope holds, and the envelope's name; without one the text as it is."""
    try:
        read = json.loads(text)
    except (ValueError, RecursionError):
        return text.encode(), ""
    if isinstance(read, list):
        msg = f"a JSON array: send one message for each {kind}"
        raise MalformedMessage(msg)
    if isinstance(read, str):
        msg = f"a JSON string: the {kind} was encoded twice; send the object itself"
        raise MalformedMessage(msg)
    if isinstance(read, dict):
        if _is_push(read):
            return _base64(read["message"].get("data"), "message.data"), "a Pub/Sub push envelope"
        if isinstance(read.get("specversion"), str) and ("data" in read or "data_base64" in read):
            return _event_data(read, kind), "a CloudEvent"
        if read.keys() == {"schema", "payload"}:
            msg = "a Kafka Connect envelope: set value.converter.schemas.enable=false"
            raise MalformedMessage(msg)
        if read.keys() >= {"op", "before", "after"} and "id" not in read:
            msg = "a Debezium change event: send its `after` alone (ExtractNewRecordState)"
            raise MalformedMessage(msg)
    return text.encode(), ""


def _is_push(read: Mapping[str, Any]) -> bool:
    """Whether it is a push request's body (https://cloud.google.com/pubsub/docs/push)."""
    return isinstance(read.get("message"), dict) and read.keys() <= {
        "message",
        "subscription",
        "deliveryAttempt",
    }


def _event_data(event: Mapping[str, Any], kind: str) -> bytes:
    """The data of a CloudEvent (JSON Event Format for CloudEvents 1.0, section 3)."""
    if not event["specversion"].startswith("1."):
        msg = "a CloudEvent of another version than 1.0: send version 1.0"
        raise MalformedMessage(msg)
    named = event.get("type")
    other = isinstance(named, str) and named.startswith("quorum.")
    if kind and other and named != f"quorum.{kind}.v1":
        msg = f"a CloudEvent of another type than quorum.{kind}.v1: it belongs to another stream"
        raise MalformedMessage(msg)
    if "data_base64" in event:
        return _base64(event["data_base64"], "data_base64")
    data = event["data"]
    # Data of another type than JSON is a string that holds it.
    return data.encode("utf-8", "replace") if isinstance(data, str) else json.dumps(data).encode()


def _base64(value: object, where: str) -> bytes:
    try:
        if isinstance(value, str):
            return base64.b64decode(value, validate=True)
    except (binascii.Error, ValueError):
        pass
    msg = f"{where} of the envelope must be the message's JSON in base64"
    if isinstance(value, str) and {"-", "_"} & set(value):
        msg += " with + and /, not base64url with - and _"
    raise MalformedMessage(msg)
