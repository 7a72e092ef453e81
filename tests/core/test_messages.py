from __future__ import annotations

import base64
import json
from datetime import UTC, datetime, timedelta
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quorum.core.errors import InputError, MalformedMessage
from quorum.core.messages import (
    ACTIONS,
    MAX_MESSAGE_BYTES,
    MAX_SKEW,
    MESSAGES,
    Action,
    DeadLetter,
    Message,
    Prediction,
    Review,
    Upload,
    Verdict,
    digest,
    now,
    prediction_id,
)
from quorum.core.messages.message import Value
from tests.core.strategies import json_values, messages, texts

AT = datetime(2026, 1, 31, 12, tzinfo=UTC)
WIRE = {"id": "u1", "uploader": "ana", "published_at": "2026-01-31T12:00:00Z"}


def wire(**changes) -> bytes:
    return json.dumps({**WIRE, **changes}).encode()


def raw(more: str) -> bytes:
    """An upload with a member written as it stands, for JSON that ``json`` would not write."""
    return (json.dumps(WIRE)[:-1] + "," + more + "}").encode()


def refused(data: bytes, message=Upload) -> str:
    with pytest.raises(MalformedMessage) as caught:
        message.from_bytes(data)
    return str(caught.value)


def on_the_wire(value) -> object:
    """What the JSON of a message holds, written down without pydantic."""
    if isinstance(value, Value):
        fields = {name: getattr(value, name) for name in type(value).model_fields}
        present = {name: item for name, item in fields.items() if item is not None}
        return {name: on_the_wire(item) for name, item in present.items()} | value.model_extra
    if isinstance(value, tuple):
        return [on_the_wire(item) for item in value]
    if isinstance(value, datetime):
        return value.isoformat().replace("+00:00", "Z")
    return base64.b64encode(value).decode() if isinstance(value, bytes) else value


class TestRoundTrip:
    @given(messages)
    def test_a_message_comes_back_as_it_was(self, message):
        sent = message.to_bytes()
        back = type(message).from_bytes(sent)
        assert back == message
        assert back.to_bytes() == sent
        assert b"\n" not in sent

    @given(messages)
    def test_the_wire_is_json_without_absent_fields(self, message):
        sent = json.loads(message.to_bytes())
        for name in type(message).model_fields:
            assert sent.get(name, "left out") is not None

    def test_unknown_fields_are_kept_at_each_level(self):
        data = {
            "id": "p1",
            "upload_id": "u1",
            "detector": "spam",
            "version": "1",
            "status": "scored",
            "score": 0.5,
            "at": "2026-01-31T12:00:00Z",
            "evidence": [{"kind": "text", "what": "buy", "colour": {"deep": [None, 1]}, "n": None}],
            "batch": 7,
            "trace": None,
        }
        sent = json.loads(Prediction.from_bytes(json.dumps(data).encode()).to_bytes())
        assert sent["batch"] == 7
        assert sent["trace"] is None
        assert "trace" in sent
        assert sent["evidence"][0]["colour"] == {"deep": [None, 1]}
        assert "n" in sent["evidence"][0]

    @given(messages)
    def test_the_wire_has_all_but_absent_optional_fields(self, message):
        assert json.loads(message.to_bytes()) == on_the_wire(message)

    def test_the_wire_is_that_of_the_first_release(self):
        sent = {
            "id": "v1",
            "upload_id": "u1",
            "action": "review",
            "revision": 1,
            "policy_version": "p",
            "rule": "spam",
            "reasons": ["a é"],
            "predictions": [
                {
                    "id": "p1",
                    "detector": "spam",
                    "version": "1",
                    "status": "scored",
                    "score": 0.5,
                    "labels": {"spam/ad": 1.0},
                    "shadow": False,
                    "x-unknown": None,
                }
            ],
            "missing": [],
            "decided_by": "policy",
            "at": "2026-01-31T12:00:00.500000Z",
            "latency": 0.25,
            "x-unknown": [None, {"a": None}],
        }
        data = json.dumps(sent, ensure_ascii=False, separators=(",", ":")).encode()
        assert Verdict.from_bytes(data).to_bytes() == data

    def test_optional_fields_of_a_message_of_another_domain_are_left_out(self):
        class Ride(Message):
            driver: str | None = None
            stops: list[str | None] = []

        assert Ride(stops=[None], note=None).to_bytes() == b'{"stops":[null],"note":null}'

    def test_a_message_cannot_be_changed(self):
        upload = Upload.from_bytes(wire())
        with pytest.raises(ValueError, match="frozen"):
            upload.title = "another"

    def test_text_of_every_script_survives(self):
        title = "مرحبا 你好 👩‍👩‍👧 e\u0301 \u0000"
        assert Upload.from_bytes(Upload.from_bytes(wire(title=title)).to_bytes()).title == title


class TestTimes:
    @pytest.mark.parametrize(
        "text",
        [
            "2026-01-31T12:00:00",
            "2026-01-31",
            "1769860800",
            "yesterday",
            "",
            "2026-02-30T12:00:00Z",
            "2026-01-31T25:00:00Z",
            "2026-01-31T12:00:00Z\n",
            "2026-01-31T12:00:00+99:99",
            "٢٠٢٦-01-31T12:00:00Z",
            "1999-12-31T23:59:59Z",
            "2100-01-01T00:00:00Z",
            "0001-01-01T00:00:00+14:00",
            "9999-12-31T23:59:59-14:00",
        ],
    )
    def test_naive_and_absurd_times_are_refused(self, text):
        assert "published_at" in refused(wire(published_at=text))

    @pytest.mark.parametrize("value", [1769860800, 1.5, None, True, [], {}])
    def test_only_text_is_a_time(self, value):
        assert "published_at" in refused(wire(published_at=value))

    def test_a_naive_datetime_of_our_own_is_refused(self):
        with pytest.raises(ValueError, match="time zone"):
            Upload(id="u", uploader="a", published_at=datetime(2026, 1, 31))  # noqa: DTZ001

    @pytest.mark.parametrize(
        ("text", "seen"),
        [
            ("2026-01-31T13:00:00+01:00", "2026-01-31T12:00:00Z"),
            ("2026-01-31t12:00:00z", "2026-01-31T12:00:00Z"),
            ("2026-01-31 12:00:00.5Z", "2026-01-31T12:00:00.500000Z"),
            ("2026-01-31T12:00:00.123456789Z", "2026-01-31T12:00:00.123456Z"),
        ],
    )
    def test_a_time_is_sent_on_in_utc(self, text, seen):
        upload = Upload.from_bytes(wire(published_at=text))
        assert upload.published_at.tzinfo is UTC
        assert json.loads(upload.to_bytes())["published_at"] == seen


class TestIdentifiers:
    @pytest.mark.parametrize(
        "character",
        [*"\x00\n\x1b\x7f\x85\xad\u200b\u202e\u2066\ufeff\U000e0041"],
    )
    def test_control_and_invisible_characters_are_refused(self, character):
        assert refused(wire(id=f"a{character}b")).startswith(
            "not a valid upload: id: must not hold"
        )
        assert "uploader" in refused(wire(uploader=f"a{character}b"))

    @pytest.mark.parametrize("value", ["", " a", "a ", "\u3000a", "x" * 257, 7, None, ["a"]])
    def test_an_identifier_is_trimmed_text_of_bounded_length(self, value):
        assert "id" in refused(wire(id=value))

    @given(st.text(max_size=300))
    def test_any_text_is_an_identifier_or_refused(self, text):
        try:
            upload = Upload.from_bytes(json.dumps({**WIRE, "id": text}).encode())
        except MalformedMessage:
            return
        assert upload.id == text
        assert len(upload.attributes("/test")["ce-id"].encode()) <= 1024


class TestBadInput:
    @pytest.mark.parametrize(
        "data",
        [
            b"",
            b" ",
            b"not json",
            b"{",
            b"[]",
            b"null",
            b"42",
            b'"text"',
            b"{}",
            b"\xef\xbb\xbf{}",
            json.dumps(WIRE).encode("utf-16"),
            json.dumps(WIRE).encode() + b"trailing",
        ],
    )
    @pytest.mark.parametrize("message", MESSAGES)
    def test_what_is_no_message_is_refused(self, message, data):
        assert refused(data, message)

    @given(st.binary(max_size=200))
    def test_any_bytes_are_read_or_refused(self, data):
        for message in MESSAGES:
            with pytest.raises(InputError):
                message.from_bytes(data)

    @given(json_values)
    def test_any_json_in_any_field_is_read_or_refused(self, value):
        for name in (*Upload.model_fields, "unknown"):
            try:
                upload = Upload.from_bytes(wire(**{name: value}))
            except MalformedMessage:
                continue
            assert Upload.from_bytes(upload.to_bytes()) == upload

    def test_invalid_utf8_is_told_by_its_byte(self):
        assert refused(b'{"id": "\xff"}') == "not valid UTF-8 at byte 8"
        assert "UTF-8" in refused(b'"\xed\xa0\x80"')

    @pytest.mark.parametrize("escape", [r"\ud800", r"\udfff", r"\udfff\ud800"])
    def test_a_lone_surrogate_is_refused(self, escape):
        assert "Invalid JSON" in refused(raw(f'"title": "{escape}"'))
        assert "Invalid JSON" in refused(raw(f'"unknown": "{escape}"'))

    @pytest.mark.parametrize("opening", ["[", '{"a":'])
    def test_deep_nesting_is_refused(self, opening):
        closing = "]" if opening == "[" else "}"
        for depth in (500, 100_000):
            data = raw(f'"x": {opening * depth}1{closing * depth}')
            assert "recursion" in refused(data)

    def test_nesting_that_is_accepted_can_be_sent_on(self):
        data = raw(f'"x": {"[" * 150}1{"]" * 150}')
        upload = Upload.from_bytes(data)
        assert Upload.from_bytes(upload.to_bytes()) == upload

    def test_five_megabytes_are_refused_without_being_parsed(self):
        told = refused(b"\xff" * (5 * 1024 * 1024))
        assert told == "message of 5,242,880 bytes; the limit is 2,097,152"

    def test_the_limit_itself_is_accepted(self):
        data = wire(description="")
        data = data.replace(b'"description": ""', b'"description": "%s"' % (b"x" * 100), 1)
        room = MAX_MESSAGE_BYTES - len(data)
        data = data.replace(b"x" * 100, b"x" * (100 + room), 1)
        assert len(data) == MAX_MESSAGE_BYTES
        assert Upload.from_bytes(data).id == "u1"
        refused(data.replace(b'"description"', b' "description"'))

    def test_empty_texts_are_an_upload(self):
        upload = Upload.from_bytes(wire(title="", description="", tags=[""], comments=["", ""]))
        assert upload.tags == ("",)
        assert upload.comments == ("", "")

    def test_of_duplicate_keys_the_last_counts(self):
        assert Upload.from_bytes(raw('"id": "u2"')).id == "u2"
        assert refused(raw('"id": 7'))

    def test_a_huge_integer_is_kept_or_refused(self):
        upload = Upload.from_bytes(raw(f'"views": {"9" * 300}'))
        assert json.loads(upload.to_bytes())["views"] == int("9" * 300)
        assert "number out of range" in refused(raw(f'"views": {"9" * 100_000}'))
        assert "duration" in refused(raw(f'"duration": {"9" * 400}'))

    @pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e999"])
    @pytest.mark.parametrize("field", ["duration", "unknown"])
    def test_what_json_has_no_number_for_is_refused(self, field, number):
        refused(raw(f'"{field}": {number}'))
        refused(raw(f'"{field}": [{{"deep": {number}}}]'))

    def test_nan_is_refused_in_predictions(self):
        base = {"id": "p", "upload_id": "u", "detector": "d", "version": "1", "status": "scored"}
        for change in ('"score": NaN', '"score": 0.5, "labels": {"a": NaN}'):
            data = json.dumps({**base, "at": WIRE["published_at"]})[:-1] + f", {change}}}"
            refused(data.encode(), Prediction)
        data = json.dumps({**base, "score": 0.1, "at": WIRE["published_at"]})[:-1]
        refused(
            (data + ', "evidence": [{"kind": "text", "what": "", "weight": NaN}]}').encode(),
            Prediction,
        )

    @pytest.mark.parametrize("code", ["de", "DEU", "D", "", "DE\n", "ДE", " DE"])
    def test_a_territory_is_a_code(self, code):
        assert "territories" in refused(wire(territories=[code]))

    def test_many_mistakes_are_told_in_short(self):
        told = refused(wire(tags=[1] * 100))
        assert told.count("tags.") == 5
        assert told.endswith("(and 95 more)")

    @given(st.text(st.characters(codec="ascii"), min_size=8, max_size=50))
    def test_the_error_quotes_nothing_of_the_content(self, text):
        secret = f"s3cret-{text}"
        for data in (
            wire(id=[secret]),
            wire(published_at=secret),
            wire(territories=[secret]),
            wire(duration=secret),
        ):
            assert "s3cret" not in refused(data)
        prediction = {
            "id": "p",
            "upload_id": "u",
            "detector": "d",
            "version": "1",
            "status": secret,
            "labels": {secret: 3},
            "at": WIRE["published_at"],
        }
        assert "s3cret" not in refused(json.dumps(prediction).encode(), Prediction)


class TestPrediction:
    @pytest.mark.parametrize(
        "wrong",
        [
            {"status": "scored"},
            {"status": "scored", "score": 1.01},
            {"status": "scored", "score": -0.01},
            {"status": "abstained"},
            {"status": "abstained", "reason": ""},
            {"status": "abstained", "reason": "no media", "score": 0.5},
            {"status": "failed"},
            {"status": "guessed", "score": 0.5},
        ],
    )
    def test_status_score_and_reason_go_together(self, wrong):
        base = {"id": "p", "upload_id": "u", "detector": "d", "version": "1"}
        refused(json.dumps({**base, "at": WIRE["published_at"], **wrong}).encode(), Prediction)


class TestIds:
    def test_ids_are_those_of_the_first_release(self):
        """Changed ids would make every redelivered message of a running stream a new one."""
        assert digest() == "e3b0c44298fc1c149afbf4c8996fb924"
        assert digest("a", "b") == "3c9d591045bc8876f9d0399bbfb05c6a"
        assert prediction_id("u1", "spam", "v1") == "ba36a33f84afbd730dc3beb32a4eccc3"

    @given(st.lists(st.text(), max_size=4), st.lists(st.text(), max_size=4))
    def test_different_parts_have_different_digests(self, one, other):
        assert (digest(*one) == digest(*other)) == (one == other)

    def test_a_lone_surrogate_of_our_own_has_a_digest(self):
        assert digest("\ud800") != digest("\udfff")

    def test_actions_go_from_mild_to_severe(self):
        assert [action.value for action in ACTIONS] == ["allow", "restrict", "review", "remove"]
        assert [action.severity for action in ACTIONS] == [0, 1, 2, 3]


class TestTheFuture:
    @given(messages)
    def test_a_message_is_accepted_up_to_the_skew_and_not_beyond(self, message):
        kind, data = type(message), message.to_bytes()
        early = message.event_time() - MAX_SKEW
        assert kind.accept(data, early) == message
        assert kind.accept(data, message.event_time() + timedelta(days=1)) == message
        with pytest.raises(MalformedMessage, match="in the future"):
            kind.accept(data, early - timedelta(microseconds=1))

    def test_by_default_the_time_is_now(self):
        assert Upload.accept(wire()).id == "u1"
        soon = now() + timedelta(seconds=30)
        assert Upload.accept(wire(published_at=soon.isoformat())).published_at == soon
        for late in (now() + timedelta(seconds=90), datetime(2099, 12, 31, tzinfo=UTC)):
            with pytest.raises(MalformedMessage, match=r"dated [0-9,]+ s in the future"):
                Upload.accept(wire(published_at=late.isoformat()))

    def test_what_is_no_message_is_refused_as_ever(self):
        with pytest.raises(MalformedMessage, match="not a valid upload"):
            Upload.accept(b"{}")


class TestAttributes:
    @given(messages)
    def test_cloudevents_attributes(self, message):
        attributes = message.attributes("/quorum/test")
        assert attributes["ce-specversion"] == "1.0"
        assert attributes["ce-source"] == "/quorum/test"
        assert attributes["ce-type"] == f"quorum.{message.kind}.v1"
        assert attributes["ce-dataschema"] == f"quorum/schemas/{message.kind}.schema.json"
        assert attributes["content-type"] == "application/json"
        told = datetime.fromisoformat(attributes["ce-time"])
        assert told == message.event_time()
        assert told.utcoffset() == timedelta(0)
        assert attributes["ce-id"]
        assert all(
            isinstance(value, str) and len(value.encode()) <= 1024 for value in attributes.values()
        )

    @given(messages)
    def test_the_id_is_the_same_after_a_journey(self, message):
        back = type(message).from_bytes(message.to_bytes())
        assert back.attributes("/a")["ce-id"] == message.attributes("/b")["ce-id"]

    def test_a_second_review_is_another_event(self):
        first = Review(upload_id="u", verdict_id="v", action="allow", reviewer="r", at=AT)
        changed = first.model_copy(update={"action": Action.REMOVE})
        later = first.model_copy(update={"at": AT + timedelta(seconds=1)})
        assert len({first.event_id(), changed.event_id(), later.event_id()}) == 3

    def test_now_has_its_zone(self):
        assert now().tzinfo is UTC


def of(data: bytes, attributes=None, error="no JSON") -> tuple[DeadLetter, ...]:
    return DeadLetter.of(data, attributes or {}, "uploads", error, AT)


class TestDeadLetter:
    @given(st.binary(max_size=2000), st.dictionaries(texts, texts, max_size=4))
    def test_any_bytes_come_back(self, data, attributes):
        (letter,) = of(data, attributes)
        back = DeadLetter.from_bytes(letter.to_bytes())
        assert back.data == data
        assert back.original == attributes
        assert (back.part, back.parts) == (1, 1)

    @pytest.mark.parametrize("seed", range(3))
    def test_nine_megabytes_come_back_from_parts(self, seed):
        random = Random(seed)
        data = random.randbytes(9_000_000 + random.randrange(1000))
        attributes = {f"key-{index}": "\x01" * 1024 for index in range(100)}
        sent = [letter.to_bytes() for letter in of(data, attributes, error="é" * 10_000_000)]
        assert len(sent) == 2
        assert all(len(part) < 10_000_000 for part in sent)
        random.shuffle(sent)
        letters = sorted((DeadLetter.from_bytes(part) for part in sent), key=lambda x: x.part)
        assert [(letter.part, letter.parts) for letter in letters] == [(1, 2), (2, 2)]
        assert b"".join(letter.data for letter in letters) == data
        assert len({letter.original_id for letter in letters}) == 1
        assert len({letter.event_id() for letter in letters}) == 2
        assert all(letter.original == attributes for letter in letters)

    def test_the_same_original_has_the_same_id(self):
        assert of(b"\xff")[0].event_id() == of(b"\xff")[0].event_id()
        assert of(b"\xff")[0].event_id() != of(b"\xfe")[0].event_id()

    def test_the_letter_does_not_change_with_the_attributes(self):
        attributes = {"a": "1"}
        (letter,) = of(b"", attributes)
        attributes["a"] = "2"
        assert letter.original == {"a": "1"}

    @pytest.mark.parametrize("data", ["not base64!", "QQ", "é", 7, None])
    def test_data_is_base64(self, data):
        letter = json.loads(of(b"A")[0].to_bytes())
        assert "data" in refused(json.dumps({**letter, "data": data}).encode(), DeadLetter)
