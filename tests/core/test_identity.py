from __future__ import annotations

import base64
import pickle
from datetime import UTC, datetime, timedelta

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given, settings
from hypothesis import strategies as st

from quorum.core.errors import ConfigurationError, MalformedMessage
from quorum.core.identity import (
    Admission,
    CameBack,
    IdentityRefused,
    Publisher,
    Refusal,
    SigningKey,
    check_signer,
    verify_signature,
)
from quorum.core.messages import (
    DeadLetter,
    Message,
    Prediction,
    Review,
    Upload,
    Verdict,
    prediction_id,
)
from tests.core.strategies import messages

AT = datetime(2026, 3, 1, 12, tzinfo=UTC)
NOW = AT + timedelta(seconds=5)
EVERYTHING = ["uploads", "predictions", "verdicts", "reviews", "dead-letters"]
KINDS = {"uploads": Upload, "predictions": Prediction, "verdicts": Verdict, "reviews": Review,
         "dead-letters": DeadLetter}  # fmt: skip

OURS = SigningKey.new("quorum", "k1")
LAB = SigningKey.new("lab", "k1")
DESK = SigningKey.new("console", "k1")


def publisher(key: SigningKey, **rights) -> Publisher:
    return Publisher(keys={key.id: {"public": key.public}}, **rights)


PUBLISHERS = {
    "quorum": publisher(OURS, streams=["predictions", "verdicts"], detectors=["spam", "violence"]),
    "lab": publisher(LAB, streams=["predictions"], detectors=["audio"]),
    "console": publisher(DESK, streams=["reviews"]),
}
ADMISSION = Admission(PUBLISHERS)


def prediction(detector: str = "audio", score: float = 0.5, **more) -> Prediction:
    return Prediction(
        **{
            "id": prediction_id("u", detector, "1"),
            "upload_id": "u",
            "detector": detector,
            "version": "1",
            "status": "scored",
            "score": score,
            "at": AT,
        }
        | more
    )


def review(**more) -> Review:
    given = {"upload_id": "u", "verdict_id": "v", "action": "allow", "reviewer": "ada", "at": AT}
    return Review(**given | more)


def signed(message: Message, key: SigningKey) -> tuple[bytes, dict[str, str]]:
    data = message.to_bytes()
    return data, key.sign(data, message.attributes("/test"))


def refusal(kind, data, attributes, admission=ADMISSION, at=NOW) -> Refusal:
    with pytest.raises(IdentityRefused) as caught:
        admission.admit(kind, data, attributes, at)
    assert str(caught.value)
    return caught.value.refusal


class TestSignatures:
    @settings(max_examples=60)
    @given(messages)
    def test_what_is_signed_is_accepted(self, message):
        data, attributes = signed(message, OURS)
        assert verify_signature(OURS.public, data, attributes)
        assert not verify_signature(LAB.public, data, attributes)

    @settings(max_examples=200)
    @given(messages, st.data())
    def test_a_change_of_any_byte_is_refused(self, message, draw):
        data, attributes = signed(message, OURS)
        place = draw.draw(st.integers(0, len(data) - 1))
        bit = 1 << draw.draw(st.integers(0, 7))
        changed = bytes([*data[:place], data[place] ^ bit, *data[place + 1 :]])
        assert not verify_signature(OURS.public, changed, attributes)
        assert not verify_signature(OURS.public, data + b" ", attributes)
        assert not verify_signature(OURS.public, data[:-1], attributes)

    @settings(max_examples=200)
    @given(messages, st.data())
    def test_a_change_of_any_signed_attribute_is_refused(self, message, draw):
        data, attributes = signed(message, OURS)
        names = [
            "quorum-publisher",
            "quorum-key",
            "quorum-signature",
            "ce-type",
            "ce-id",
            "ce-time",
        ]
        name = draw.draw(st.sampled_from(names))
        old = attributes[name]
        place = draw.draw(st.integers(0, len(old) - 1))
        other = draw.draw(st.characters(codec="utf-8").filter(lambda one: one != old[place]))
        text = old[:place] + other + old[place + 1 :]
        for changed in (text, old + "=", old + " ", old[1:], ""):
            assert not verify_signature(OURS.public, data, {**attributes, name: changed})
        assert not verify_signature(
            OURS.public, data, {key: value for key, value in attributes.items() if key != name}
        )

    def test_parts_do_not_flow_over(self):
        """``ce-id`` and ``ce-time`` moved against each other are another message."""
        base = {"ce-type": "t", "ce-id": "ab", "ce-time": "c"}
        attributes = OURS.sign(b"x", base)
        moved = {**attributes, "ce-id": "a", "ce-time": "bc"}
        assert not verify_signature(OURS.public, b"x", moved)

    def test_other_attributes_may_change_on_the_way(self):
        data, attributes = signed(review(), OURS)
        assert verify_signature(OURS.public, data, {**attributes, "googclient_x": "1"})

    def test_the_format_is_as_the_documentation_says(self):
        """Signed without any of Quorum's code, as another language does."""
        data, attributes = review().to_bytes(), review().attributes("/desk")
        private = Ed25519PrivateKey.from_private_bytes(DESK.private)
        parts = [b"quorum-signature-v1", b"console", b"k1", attributes["ce-type"].encode(),
                 attributes["ce-id"].encode(), attributes["ce-time"].encode(), data]  # fmt: skip
        signature = private.sign(b"".join(len(p).to_bytes(8, "big") + p for p in parts))
        attributes |= {"quorum-publisher": "console", "quorum-key": "k1",
                       "quorum-signature": base64.b64encode(signature).decode()}  # fmt: skip
        assert attributes == DESK.sign(data, review().attributes("/desk"))
        assert ADMISSION.admit(Review, data, attributes, NOW) == review()


class TestKeys:
    def test_a_key_survives_its_text_and_hides_itself(self):
        again = SigningKey.from_text(f"  {OURS.text}\n")
        assert again == OURS
        secret = OURS.text.split(":")[-1]
        assert secret not in repr(OURS)
        with pytest.raises(TypeError, match="never sent"):
            pickle.dumps(OURS)

    @pytest.mark.parametrize("text", ["", "x", "ed25519:a:b", "ed25519:a:b:QQ==", "rsa:a:b:QQ=="])
    def test_what_is_no_key_is_not_quoted(self, text):
        with pytest.raises(ConfigurationError, match="quorum keys new") as caught:
            SigningKey.from_text(text or "geheim", "here")
        assert "QQ==" not in str(caught.value)
        assert "geheim" not in str(caught.value)

    @pytest.mark.parametrize("name", ["", "a b", "a:b", "ä", "x" * 65, "-a"])
    def test_names_are_plain(self, name):
        for given_names in ((name, "k"), ("p", name)):
            with pytest.raises(ConfigurationError, match="letters"):
                SigningKey.new(*given_names)

    def test_the_environment_holds_it_or_names_its_file(self, monkeypatch, tmp_path):
        for name in ("QUORUM_SIGNING_KEY", "QUORUM_SIGNING_KEY_FILE"):
            monkeypatch.delenv(name, raising=False)
        assert SigningKey.from_environment() is None
        monkeypatch.setenv("QUORUM_SIGNING_KEY", OURS.text)
        assert SigningKey.from_environment() == OURS
        file = tmp_path / "key"
        monkeypatch.setenv("QUORUM_SIGNING_KEY_FILE", str(file))
        with pytest.raises(ConfigurationError, match="set one"):
            SigningKey.from_environment()
        monkeypatch.delenv("QUORUM_SIGNING_KEY")
        with pytest.raises(ConfigurationError, match="No such file"):
            SigningKey.from_environment()
        file.write_text(LAB.text + "\n")
        assert SigningKey.from_environment() == LAB


class TestAdmission:
    def test_each_may_say_what_is_its_own(self):
        for message, key in (
            (prediction("spam"), OURS),
            (prediction("audio"), LAB),
            (review(), DESK),
        ):
            assert ADMISSION.admit(type(message), *signed(message, key), NOW) == message

    def test_a_detector_speaks_through_its_publisher_only(self):
        """A forged "violence 0.0" cleared a video, a forged "copyright 1.0" removed one."""
        assert refusal(Prediction, *signed(prediction("violence", 0.0), LAB)) == "not_allowed"
        assert refusal(Prediction, *signed(prediction("copyright", 1.0), LAB)) == "not_allowed"
        assert refusal(Prediction, *signed(prediction("audio"), OURS)) == "not_allowed"

    def test_a_prediction_cannot_take_the_place_of_another_by_its_id(self):
        forged = prediction("audio", id=prediction_id("u", "spam", "1"))
        assert refusal(Prediction, *signed(forged, LAB)) == "not_allowed"

    def test_a_review_counts_only_from_who_may_review(self):
        assert refusal(Review, *signed(review(), LAB)) == "not_allowed"

    def test_what_is_not_signed_is_refused_before_it_is_read(self):
        data = review().to_bytes()
        assert refusal(Review, data, review().attributes("/test")) == "unsigned"
        assert refusal(Review, data, {}) == "unsigned"
        assert refusal(Review, b"nonsense", {}) == "unsigned"

    def test_strangers_and_strange_keys(self):
        stranger, other = SigningKey.new("nobody", "k1"), SigningKey.new("console", "k2")
        same_name = SigningKey.new("console", "k1")
        assert refusal(Review, *signed(review(), stranger)) == "unknown_publisher"
        assert refusal(Review, *signed(review(), other)) == "unknown_key"
        assert refusal(Review, *signed(review(), same_name)) == "wrong_signature"

    @pytest.mark.parametrize("stream", EVERYTHING)
    @pytest.mark.parametrize("replayed_on", EVERYTHING)
    def test_a_message_counts_on_its_own_stream_only(self, stream, replayed_on):
        """Even of a publisher that may publish to both, and if the body would fit."""
        may = {"quorum": publisher(OURS, streams=EVERYTHING, detectors=["spam"])}
        kind, other = KINDS[stream], KINDS[replayed_on]
        data = review().to_bytes()
        attributes = OURS.sign(data, {**review().attributes("/x"), "ce-type": _type(kind)})
        if stream == replayed_on == "reviews":
            assert Admission(may).admit(other, data, attributes, NOW) == review()
        elif stream != replayed_on:
            assert refusal(other, data, attributes, Admission(may)) == "wrong_stream"
            changed = {**attributes, "ce-type": _type(other)}
            assert refusal(other, data, changed, Admission(may)) == "wrong_signature"

    def test_keys_are_rotated_without_a_gap(self):
        old, new = OURS, SigningKey.new("quorum", "k2")
        until = NOW + timedelta(days=7)
        both = Admission(
            {
                "quorum": Publisher(
                    keys={
                        "k1": {"public": old.public, "until": until},
                        "k2": {"public": new.public},
                    },
                    streams=["predictions"],
                    detectors=["spam"],
                )
            }
        )
        for key in (old, new):
            assert both.admit(Prediction, *signed(prediction("spam"), key), NOW)
        assert refusal(Prediction, *signed(prediction("spam"), old), both, until) == "expired_key"
        assert both.admit(Prediction, *signed(prediction("spam"), new), until)

    def test_a_signature_does_not_make_a_message_good(self):
        data = b'{"upload_id": "u"}'
        with pytest.raises(MalformedMessage, match="not a valid review"):
            ADMISSION.admit(Review, data, DESK.sign(data, review().attributes("/x")), NOW)
        late = review(at=datetime(2099, 1, 1, tzinfo=UTC))
        with pytest.raises(MalformedMessage, match="in the future"):
            ADMISSION.admit(Review, *signed(late, DESK), NOW)

    def test_without_publishers_everyone_speaks_but_for_our_own_detectors(self):
        fused = Admission(own_detectors=frozenset({"violence"}))
        assert fused.admit(Prediction, prediction("audio").to_bytes(), {}, NOW)
        assert fused.admit(Review, review().to_bytes(), {}, NOW)
        forged = prediction("violence", 0.0).to_bytes()
        assert refusal(Prediction, forged, {}, fused) == "not_allowed"
        assert refusal(Prediction, forged, {"ce-source": "/lab"}, fused) == "not_allowed"
        with pytest.raises(CameBack):
            fused.admit(Prediction, forged, {"ce-source": "/quorum/stream"}, NOW)

    def test_a_file_has_no_attributes_and_needs_no_signature(self):
        plain = ADMISSION.without_signatures()
        assert plain.admit(Review, review().to_bytes(), {}, NOW) == review()

    def test_it_travels_inside_a_graph(self):
        again = pickle.loads(pickle.dumps(ADMISSION))
        assert again.admit(Review, *signed(review(), DESK), NOW) == review()


def _type(kind: type[Message]) -> str:
    return f"quorum.{kind.kind}.v1"


class TestTheSignerOfThisProcess:
    def check(self, key, streams, detectors=(), at=NOW, publishers=PUBLISHERS):
        check_signer(publishers, key, streams, detectors, at=at)

    def test_it_may_publish_what_the_settings_say(self):
        self.check(OURS, ["predictions", "verdicts"], ["spam"])
        self.check(None, [])
        self.check(None, ["reviews"], publishers={})

    @pytest.mark.parametrize(
        ("key", "streams", "detectors", "told"),
        [
            (None, ["verdicts"], (), "no key to sign verdicts"),
            (SigningKey.new("quorum", "k1"), ["verdicts"], (), "publishers.quorum.keys.k1.public"),
            (SigningKey.new("nobody", "k1"), ["verdicts"], (), "publishers.nobody.keys"),
            (LAB, ["predictions", "verdicts"], ["audio"], "may not publish verdicts"),
            (OURS, ["predictions"], ["spam", "nsfw"], "may not speak for nsfw"),
        ],
    )
    def test_else_it_does_not_start(self, key, streams, detectors, told):
        with pytest.raises(ConfigurationError, match=told):
            self.check(key, streams, detectors)

    def test_an_expired_key_signs_nothing(self):
        expired = {
            "quorum": Publisher(
                keys={"k1": {"public": OURS.public, "until": AT}}, streams=["verdicts"]
            )
        }
        with pytest.raises(ConfigurationError, match="expired on"):
            self.check(OURS, ["verdicts"], publishers=expired)
