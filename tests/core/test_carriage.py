"""A message is read however its JSON is carried, or refused with what to change."""

from __future__ import annotations

import base64
import gzip
import io
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quorum.core.errors import InputError, MalformedMessage
from quorum.core.messages import MESSAGES, Upload
from quorum.core.messages.lines import json_lines
from quorum.core.territories import TERRITORIES

WIRE: dict[str, Any] = {
    "id": "u1",
    "uploader": "c1",
    "title": "caf\u00e9 \U0001f600",
    "published_at": "2026-01-31T12:00:00Z",
}
PLAIN = json.dumps(WIRE, ensure_ascii=False).encode()
EMOJI = "\U0001f600".encode()
ENCODED = base64.b64encode(PLAIN).decode()


def event(**more: Any) -> bytes:
    head = {"specversion": "1.0", "id": "e1", "source": "/site", "type": "com.example.upload"}
    return json.dumps(head | more).encode()


def push(data: bytes) -> bytes:
    message = {"data": base64.b64encode(data).decode(), "messageId": "7", "attributes": {"a": "b"}}
    return json.dumps({"message": message, "subscription": "projects/p/subscriptions/s"}).encode()


CARRIED = {
    "mark": b"\xef\xbb\xbf" + PLAIN,
    "gzip": gzip.compress(PLAIN),
    "gzip in parts": gzip.compress(PLAIN[:9]) + gzip.compress(PLAIN[9:]) + bytes(9),
    "utf-16": json.dumps(WIRE).encode("utf-16"),
    "utf-16 without a mark": json.dumps(WIRE).encode("utf-16-le"),
    "utf-32": json.dumps(WIRE).encode("utf-32"),
    "push": push(PLAIN),
    "gzip in push in gzip": gzip.compress(push(gzip.compress(PLAIN))),
    "event": event(data=WIRE, type="quorum.upload.v1"),
    "event of text": event(data=PLAIN.decode(), datacontenttype="text/plain"),
    "event of bytes": event(data_base64=ENCODED),
    "event in push": push(event(data=WIRE)),
    "CESU-8": PLAIN.replace(EMOJI, b"\xed\xa0\xbd\xed\xb8\x80"),
}


@pytest.mark.parametrize("how", CARRIED)
def test_it_is_the_message_of_its_plain_form(how: str) -> None:
    upload = Upload.accept(CARRIED[how])
    assert upload == Upload.from_bytes(PLAIN)
    assert upload.digest == Upload.from_bytes(PLAIN).digest
    assert upload.to_bytes() == Upload.from_bytes(PLAIN).to_bytes()
    assert not upload.was_plain
    assert Upload.accept(PLAIN).was_plain


@pytest.mark.parametrize("half", [rb"\ud83d", rb"\ude00", b"\xf0\x9f\x98", b"\xed\xa0\xbd"])
def test_half_an_emoji_costs_no_verdict(half: bytes) -> None:
    upload = Upload.accept(PLAIN.replace(EMOJI, half))
    assert upload.title == "caf\u00e9 \ufffd"
    assert Upload.from_bytes(upload.to_bytes()) == upload


def test_half_an_emoji_names_nothing() -> None:
    """Two uploads whose ids were cut at another character would become one."""
    with pytest.raises(MalformedMessage, match="id: holds half a character"):
        Upload.accept(PLAIN.replace(b'"u1"', rb'"u\ud83d"'))


def test_an_escaped_backslash_is_no_surrogate() -> None:
    upload = Upload.accept(PLAIN.replace(EMOJI, rb"\\ud83d \ud83d"))
    assert upload.title == "caf\u00e9 \\ud83d \ufffd"


@pytest.mark.parametrize(
    ("data", "told"),
    [
        (PLAIN.replace("\u00e9".encode(), b"\xe9"), "not valid UTF-8 at byte"),
        (b"[" + PLAIN + b"]", "send one message for each upload"),
        (json.dumps(PLAIN.decode()).encode(), "encoded twice"),
        (b"\x28\xb5\x2f\xfd" + PLAIN, "Zstandard: send the JSON itself"),
        (gzip.compress(PLAIN, mtime=0)[:-9], "ends too early"),
        (gzip.compress(PLAIN, mtime=0) * 2, "Invalid JSON"),  # no message is lost behind another
        (gzip.compress(b"", mtime=0) * 1000, "more than 64 parts"),
        (b"\x1f\x8bnonsense", "cannot be decompressed"),
        (gzip.compress(b" " * 3_000_000, mtime=0), "more than 2,097,152 bytes"),
        (push(push(push(push(push(PLAIN))))), "more than 4 layers"),
        (push(b"{}"), "a Pub/Sub push envelope: not a valid upload: id"),
        (b'{"message": {"messageId": "7"}}', "message.data of the envelope"),
        (event(data=WIRE, type="quorum.verdict.v1"), "belongs to another stream"),
        (event(data=WIRE, specversion="0.3"), "send version 1.0"),
        (event(data_base64="?"), "data_base64 of the envelope"),
        (b'{"message": {"data": "e30-_w=="}}', "in base64 with . and /, not base64url"),
        (b'{"schema": {"type": "struct"}, "payload": {}}', "schemas.enable=false"),
        (b'{"before": null, "after": {"id": "u"}, "op": "c"}', "send its `after` alone"),
        (event(data={"title": "x"}), "a CloudEvent: not a valid upload: id"),
        (b"{\x00\xd8" + b"\x00" * 9, "not a valid upload|UTF-16"),
    ],
)
def test_what_is_not_read_says_what_to_change(data: bytes, told: str) -> None:
    with pytest.raises(MalformedMessage, match=told) as raised:
        Upload.accept(data)
    assert "caf" not in str(raised.value)


@settings(max_examples=60)
@given(st.binary(max_size=60) | st.binary().map(gzip.compress) | st.text().map(str.encode))
def test_any_bytes_in_any_layer_are_read_or_refused(data: bytes) -> None:
    for message in MESSAGES:
        for carried in (data, push(data), event(data_base64=base64.b64encode(data).decode())):
            with pytest.raises(InputError):
                message.accept(carried)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-be", "utf-32"])
@pytest.mark.parametrize("compressed", [False, True])
def test_lines_of_a_file(encoding: str, compressed: bool) -> None:
    lines = [json.dumps(WIRE | {"id": f"u{n}"}, ensure_ascii=False) for n in range(3)]
    data = ("\r\n".join(lines) + "\n").encode(encoding)
    file = io.BytesIO(gzip.compress(data) if compressed else data)
    assert [Upload.accept(line).id for line in json_lines(file, "x")] == ["u0", "u1", "u2"]


def test_lines_of_a_damaged_file() -> None:
    whole = gzip.compress(PLAIN)
    for data, told in (
        (whole[:-9], "gzip that is damaged"),
        (PLAIN.decode().encode("utf-16")[:-1], "UTF-16"),
    ):
        with pytest.raises(InputError, match=told):
            list(json_lines(io.BytesIO(data), "x"))
    assert list(json_lines(io.BytesIO(b""), "x")) == []


def test_territories_are_those_of_iso_3166() -> None:
    assert len(TERRITORIES) == 249 + 1
    assert Upload.accept(PLAIN[:-1] + b',"territories":["GB","DE","XK"]}').territories
    for code, told in (
        ("UK", "United Kingdom is GB"),
        ("EL", "Greece is GR"),
        ("QX", "such as DE"),
    ):
        data = PLAIN[:-1] + f',"territories":["DE","{code}"]}}'.encode()
        with pytest.raises(MalformedMessage, match=f"territories.1: .*{told}"):
            Upload.accept(data)
        # What an earlier version stored can still be read.
        assert Upload.from_bytes(data).territories == ("DE", code)
