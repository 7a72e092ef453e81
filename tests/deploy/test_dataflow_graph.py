"""The stream as Dataflow gets it: translated, with the options of a start and of an update."""

from __future__ import annotations

import json

import apache_beam as beam
import pytest
from apache_beam.options.pipeline_options import GoogleCloudOptions, StandardOptions

from quorum.aggregator.policy.policy import load_policy
from quorum.apps.cli.running import open_sources
from quorum.core.settings import Settings
from quorum.pipeline import graph
from quorum.pipeline.cases.options import CaseOptions
from quorum.pipeline.engines import Engine, pipeline_options
from quorum.pipeline.moderator import ensemble_of
from quorum.pipeline.streams.open import sink

EXTRA = ["--project=p", "--region=r", "--temp_location=gs://b/t", "--sdk_container_image=i"]
SUBSCRIPTION = "projects/my-project/subscriptions/{}"
TOPIC = "projects/my-project/topics/{}"


@pytest.fixture(scope="module")
def names() -> set[str]:
    """The names of all transforms of the translated graph."""
    pipeline = beam.Pipeline(
        runner="DirectRunner",
        options=pipeline_options(Engine.DATAFLOW, streaming=True, extra=EXTRA),
    )
    policy = load_policy("balanced")
    _, opened = open_sources(
        Engine.DATAFLOW,
        {"uploads": SUBSCRIPTION.format("uploads"), "reviews": SUBSCRIPTION.format("reviews")},
        sinks=(TOPIC.format("verdicts"), TOPIC.format("predictions")),
        verb="stream",
        dead_letters=TOPIC.format("dead-letters"),
    )
    graph.stream(
        pipeline,
        uploads=opened["uploads"],
        verdicts=sink(TOPIC.format("verdicts"), origin="/quorum/stream"),
        dead_letters=sink(TOPIC.format("dead-letters"), origin="/quorum/stream"),
        predictions=sink(TOPIC.format("predictions"), origin="/quorum/stream"),
        ensemble=ensemble_of(Settings(), (policy,)),
        policy=policy,
        options=CaseOptions(),
        others=[opened["reviews"]],
    )
    proto = pipeline.to_runner_api()
    assert proto.root_transform_ids
    return {one.unique_name for one in proto.components.transforms.values()}


def test_the_graph_is_translated_with_pubsubs_own_source(names: set[str]) -> None:
    reads = {name for name in names if name.endswith("ReadFromPubSub") or "/Native" in name}
    assert len({name.partition("/Native")[0] for name in reads}) == 2
    assert not [name for name in names if "Pulse" in name or "Impulses" in name]


def test_an_update_replaces_a_job_of_the_same_name() -> None:
    mapping = json.dumps({"Old": "New"})
    options = pipeline_options(
        Engine.DATAFLOW,
        streaming=True,
        extra=[*EXTRA, "--update", "--job_name=q", f"--transform_name_mapping={mapping}"],
    )
    cloud = options.view_as(GoogleCloudOptions)
    assert (cloud.update, cloud.job_name) == (True, "q")
    assert cloud.transform_name_mapping == {"Old": "New"}
    assert options.view_as(StandardOptions).streaming
