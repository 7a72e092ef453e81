"""What a cluster of Kafka has: the topics of a deployment, and how far their readers are behind."""

from __future__ import annotations

from collections.abc import Iterator

from quorum.apps.doctor.findings import Finding
from quorum.core.errors import QuorumError
from quorum.pipeline.streams.kafka_admin import KafkaCluster, KafkaPlan

__all__ = ["kafka"]


def kafka(plan: KafkaPlan, remedy: str) -> Iterator[Finding]:
    """Examine each topic of a plan and each group that reads it.

    Args:
        plan: What should be there.
        remedy: The command that makes it.
    """
    try:
        cluster = KafkaCluster(plan.brokers)
        there = cluster.topics()
    except QuorumError as error:
        yield Finding.lacking("kafka", str(error), "every stream", "start it", needed=True)
        return
    yield Finding.ok("kafka", plan.brokers)
    for topic in plan.topics:
        if topic not in there:
            without = "nothing can be published there or read from it"
            yield Finding.lacking(f"topic {topic}", "is not there", without, remedy, needed=True)
            continue
        partitions, replicas = there[topic]
        yield Finding.ok(f"topic {topic}", f"{partitions} partitions, each on {replicas} brokers")
        for group in plan.groups[topic]:
            yield _group(cluster, topic, group)


def _group(cluster: KafkaCluster, topic: str, group: str) -> Finding:
    try:
        behind = cluster.behind(topic, group)
    except QuorumError as error:
        remedy = "let this user read and describe the group (an ACL of Kafka)"
        return Finding.lacking(f"group {group}", str(error), "its job reads nothing", remedy)
    told = "has read nothing yet" if behind is None else f"{behind} messages wait for it"
    return Finding.ok(f"group {group}", told)
