"""Forged messages beside true ones, on the real emulator and Prism."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
from google.pubsub_v1.types import PubsubMessage
from ruamel.yaml import YAML

from quorum.core.identity import Admission, Publisher, SigningKey
from quorum.core.messages import Message, Prediction, Review, Upload, Verdict, now, prediction_id
from quorum.pipeline.streams.emulator import free_port
from tests.pipeline.jobs import Job, Streams, fused, wait_until

pytestmark = [pytest.mark.emulator, pytest.mark.prism, pytest.mark.timeout(400)]

SPAM = "Check out my channel and subscribe!! FREE gift cards >>> http://win-cash.example click now"
FAR = datetime(2099, 1, 1, tzinfo=UTC)
POLICY = """
name: forgery
deadline: 2 min
retention: 1 h
orphan_wait: 10 min
detectors:
  spam: {required: true, missing: review, failed: review, abstained: ignore}
  audio: {deadline: 1 s, required: false, missing: ignore, failed: ignore, abstained: ignore}
rules:
  - {name: spam, when: score("spam") >= 0.5, action: restrict, category: spam, reason: Spam.}
  - {name: audio, when: score("audio") >= 0.9, action: remove, category: violence, reason: Heard.}
"""
KEYS = {name: SigningKey.new(name, "k1") for name in ("platform", "quorum", "lab", "console")}
RIGHTS: dict[str, dict[str, Any]] = {
    "platform": {"streams": ["uploads"]},
    "quorum": {"streams": ["predictions", "verdicts", "dead-letters"], "detectors": ["spam"]},
    "lab": {"streams": ["predictions"], "detectors": ["audio"]},
    "console": {"streams": ["reviews"]},
}
PUBLISHERS = {
    name: {"keys": {"k1": {"public": key.public}}, **RIGHTS[name]} for name, key in KEYS.items()
}


def prediction(detector: str, score: float, **more: Any) -> Prediction:
    made = {
        "id": prediction_id("u", detector, "1"), "upload_id": "u", "detector": detector,
        "version": "1", "status": "scored", "score": score, "at": now(),
    }  # fmt: skip
    return Prediction.model_validate(made | more)


def review(of: str, **more: Any) -> Review:
    made = {"upload_id": "u", "verdict_id": of, "action": "allow", "reviewer": "eve", "at": now()}
    return Review.model_validate(made | more)


class Forgeries:
    """A stream with true and forged messages; what was forged, by the word of its refusal."""

    def __init__(self, streams: Streams) -> None:
        self.streams = streams
        self.forged: dict[bytes, str] = {}

    def send(self, stream: str, message: Message, by: str | None) -> None:
        data, attributes = message.to_bytes(), message.attributes(f"/{by}")
        if by is not None:
            attributes = KEYS[by].sign(data, attributes)
        sent = PubsubMessage(data=data, attributes=attributes)
        self.streams.publisher.publish(topic=self.streams.topic(stream), messages=[sent])

    def forge(self, stream: str, message: Message, why: str, by: str | None = None) -> None:
        self.forged[message.to_bytes()] = why
        self.send(stream, message, by)

    def await_refused(self, job: Job) -> None:
        def refused() -> bool:
            self.streams.listen()
            return len(self.streams.dead) >= len(self.forged)

        wait_until(refused, 90, lambda: f"{[one.error for one in self.streams.dead]} {job.log()}")
        told = {letter.data: letter.error for letter in self.streams.dead}
        assert set(told) == set(self.forged)
        assert {data: why for data, why in self.forged.items() if why not in told[data]} == {}

    def await_verdict(self, job: Job, true: Callable[[Verdict], bool]) -> Verdict:
        def made() -> bool:
            self.streams.listen()
            return any(true(one) for one in self.streams.verdicts)

        wait_until(made, 90, lambda: f"{self.streams.verdicts} {job.log()}")
        return next(one for one in self.streams.verdicts if true(one))


@pytest.fixture
def policy(tmp_path: Path) -> str:
    (tmp_path / "policy.yaml").write_text(POLICY)
    return str(tmp_path / "policy.yaml")


def settings_file(folder: Path, **more: Any) -> str:
    with (folder / "settings.yaml").open("w") as out:
        YAML().dump({"detectors": {"spam": {}}, **more}, out)
    return str(folder / "settings.yaml")


def test_without_keys_nobody_overrules_our_own_detectors_or_the_future(
    emulator: str, prism: str, tmp_path: Path, policy: str
) -> None:
    streams = Streams()
    made = Forgeries(streams)
    upload = Upload(id="u", uploader="a", title=SPAM, published_at=now())
    job = fused(
        streams,
        tmp_path,
        *("--other-predictions", streams.subscription("predictions-decide")),
        *("--policy", policy, "--settings", settings_file(tmp_path)),
    )
    with job:
        made.send("uploads", upload, None)
        first = made.await_verdict(job, lambda one: one.upload_id == "u")
        assert first.action == "restrict"
        made.forge("predictions", prediction("spam", 0.0, version="9"), "runs in this job")
        made.forge("predictions", prediction("spam", 0.0, at=FAR), "in the future")
        made.forge("predictions", prediction("audio", 1.0, at=FAR), "in the future")
        made.forge("reviews", review("nonsense"), "names no verdict")
        made.forge("reviews", review("nonsense", at=FAR), "in the future")
        made.forge("reviews", review(first.id, at=FAR), "in the future")
        made.await_refused(job)
        made.send("reviews", review(first.id, reviewer="ada", action="remove"), None)
        last = made.await_verdict(job, lambda one: one.decided_by == "reviewer")
        assert (last.revision, last.action) == (2, "remove")
        assert "whoever may publish to a topic can send uploads" in job.whole_log()
        assert job.stop() == 0, job.log()
    assert [one.revision for one in streams.verdicts] == [1, 2]


def test_with_keys_each_speaks_for_itself_alone(
    emulator: str, prism: str, tmp_path: Path, policy: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("QUORUM_SIGNING_KEY", KEYS["quorum"].text)
    streams = Streams()
    made = Forgeries(streams)
    port = free_port()
    upload = Upload(id="u", uploader="a", title=SPAM, published_at=now())
    job = fused(
        streams,
        tmp_path,
        *("--other-predictions", streams.subscription("predictions-decide")),
        *("--policy", policy, "--settings", settings_file(tmp_path, publishers=PUBLISHERS)),
        *("--metrics-port", str(port)),
    )
    with job:
        made.send("uploads", upload, "platform")
        made.forge("uploads", upload.model_copy(update={"id": "v"}), "not signed")
        made.forge("uploads", upload.model_copy(update={"id": "w"}), "may not publish", "lab")
        first = made.await_verdict(job, lambda one: one.upload_id == "u")
        assert first.action == "restrict"
        made.forge("predictions", prediction("spam", 0.0, version="9"), "not signed")
        made.forge("predictions", prediction("spam", 0.1, version="9"), "may not speak", "lab")
        made.forge("predictions", prediction("audio", 1.0, at=FAR), "in the future", "lab")
        made.forge("reviews", review(first.id), "not signed")
        made.forge("reviews", review(first.id, note="x"), "may not publish reviews", "lab")
        made.forge("reviews", review(first.id, at=FAR), "in the future", "console")
        made.forge("reviews", review("nonsense"), "names no verdict", "console")
        made.await_refused(job)

        made.send("predictions", prediction("audio", 0.99), "lab")
        heard = made.await_verdict(job, lambda one: one.revision == 2)
        assert (heard.action, heard.rule) == ("remove", "audio")
        made.send("reviews", review(first.id, reviewer="ada"), "console")
        last = made.await_verdict(job, lambda one: one.revision == 3)
        assert (last.action, last.decided_by) == ("allow", "reviewer")

        told = httpx.get(f"http://127.0.0.1:{port}/metrics", trust_env=False).text
        for stage, reason, count in (
            ("stream.uploads", "unsigned", 1),
            ("stream.uploads", "not_allowed", 1),
            ("decide.predictions", "unsigned", 1),
            ("decide.predictions", "not_allowed", 1),
            ("decide.reviews", "unsigned", 1),
            ("decide.reviews", "not_allowed", 1),
        ):
            labels = f'{{reason="{reason}",stage="{stage}"}}'
            assert f"quorum_refused_messages_total{labels} {count}.0" in told
        assert "no publishers are configured" not in job.whole_log()
        assert KEYS["quorum"].text.split(":")[-1] not in job.whole_log()
        assert job.stop() == 0, job.log()
    assert {one.upload_id for one in streams.verdicts} == {"u"}


def test_what_the_job_publishes_is_signed(
    emulator: str, prism: str, tmp_path: Path, policy: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("QUORUM_SIGNING_KEY", KEYS["quorum"].text)
    streams = Streams()
    made = Forgeries(streams)
    settings = settings_file(tmp_path, publishers=PUBLISHERS)
    may = {name: Publisher.model_validate(one) for name, one in PUBLISHERS.items()}
    with fused(streams, tmp_path, "--policy", policy, "--settings", settings) as job:
        made.send(
            "uploads", Upload(id="u", uploader="a", title=SPAM, published_at=now()), "platform"
        )
        for subscription, kind in (
            ("verdicts-platform", Verdict),
            ("predictions-decide", Prediction),
        ):
            found: list[Any] = []

            def arrived(name: str = subscription, found: list[Any] = found) -> bool:
                path = streams.subscription(name)
                response = streams.subscriber.pull(
                    subscription=path, max_messages=10, timeout=60, retry=None
                )
                found += response.received_messages
                return bool(found)

            wait_until(arrived, 90, job.log)
            message = found[0].message
            assert Admission(may).admit(kind, message.data, dict(message.attributes)) is not None
        assert job.stop() == 0, job.log()
