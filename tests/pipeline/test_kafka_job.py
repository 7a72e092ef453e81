"""``quorum stream`` on Kafka, as a user runs it: on librdkafka's mock cluster, and killed."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from quorum.aggregator.policy.policy import Policy
from quorum.core.messages import DeadLetter, PolicyRelease, Verdict, now
from quorum.pipeline.policies.releasing import send as send_policy
from quorum.pipeline.record import SubscriptionFeed
from quorum.pipeline.streams.kafka_topic import KafkaRecord, KafkaTopic
from quorum.store.ledger import SignedRelease
from tests.hanging import hanging_environment, install_hanging
from tests.kafka_mock import KafkaMock
from tests.pipeline.doubles import upload
from tests.pipeline.jobs import Job, wait_until

pytest.importorskip("confluent_kafka", reason="needs Kafka's client: the extra kafka")

STREAMS = ("uploads", "verdicts", "dead-letters", "policies")


@pytest.mark.prism
@pytest.mark.slow
@pytest.mark.timeout(400)
def test_nothing_is_lost_when_the_worker_is_killed(
    prism: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = install_hanging(tmp_path / "plugin")
    monkeypatch.setenv("PYTHONPATH", hanging_environment(tmp_path / "plugin")["PYTHONPATH"])
    with KafkaMock() as mock:
        at = {each: f"kafka://{mock.brokers}/quorum-{each}" for each in STREAMS}
        for each in STREAMS:
            mock.topic(f"quorum-{each}", 3)
        given = [word for each in STREAMS for word in (f"--{each}", at[each])]
        uploads = KafkaTopic(at["uploads"])
        feeds = {
            each: SubscriptionFeed(f"{at[each]}?group=platform")
            for each in ("verdicts", "dead-letters")
        }
        # In force from the first upload on, before and after the kill.
        start = Path(options[options.index("--policy") + 1]).read_text()
        released = Policy.from_text(start.replace("name: hanging", "name: released"))
        one = PolicyRelease(policy_version=released.version, text=released.text, by="ana", at=now())
        send_policy(SignedRelease(one, one.to_bytes(), one.attributes("/test")), at["policies"])
        verdicts: list[Verdict] = []
        letters: list[DeadLetter] = []

        def decided(names: set[str]) -> bool:
            for each, kept, kind in (
                ("verdicts", verdicts, Verdict),
                ("dead-letters", letters, DeadLetter),
            ):
                pulled = feeds[each].pull(1_000, 0.1) or ()
                feeds[each].ack([one.ack_id for one in pulled])
                kept += [kind.from_bytes(one.data) for one in pulled]  # type: ignore[arg-type]
            return names <= {one.upload_id for one in verdicts}

        def send(names: list[str]) -> None:
            uploads.send([KafkaRecord(one, upload(one), {}) for one in names])

        names = [f"u{number}" for number in range(300)]
        with Job("stream", *given, *options, folder=tmp_path) as job:
            uploads.send([KafkaRecord(None, b"no upload", {"mine": "kept"})])
            send(names[:100])
            wait_until(lambda: decided(set(names[:100])), 120, job.log)
            send(names[100:200])
            job.kill()
        with Job("stream", *given, *options, folder=tmp_path) as job:
            send(names[200:])
            wait_until(lambda: decided(set(names)), 120, job.log)
            assert job.stop() == 0, job.log()
        assert {one.policy_version for one in verdicts} == {released.version}
        ids = {(one.upload_id, one.id) for one in verdicts}
        repeated = Counter(one.upload_id for one in verdicts)
        assert len(ids) == len(names), "two verdicts on one upload differ"
        # What was decided before the kill and committed is not decided again.
        assert sum(count > 1 for count in repeated.values()) <= 100
        assert {one.data for one in letters} == {b"no upload"}
        assert letters[0].original == {"mine": "kept"}
        for feed in feeds.values():
            feed.close()
