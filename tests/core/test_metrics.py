"""The metrics are named as Prometheus and OpenMetrics ask, and each process serves its own."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import prometheus_client
import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as openmetrics
from prometheus_client.parser import text_string_to_metric_families as text_format

from quorum.core import metrics
from quorum.core.messages import Prediction, Status, Usage, Verdict, now

ROOT = Path(__file__).parents[2]
AT = now()

#: Units that are not the base units of Prometheus (https://prometheus.io/docs/practices/naming).
NOT_BASE = re.compile(r"_(ms|millis|milliseconds|minutes|hours|kb|mb|kib|mib|percent|share)(_|$)")


def prediction(**given: object) -> Prediction:
    fields = {
        "id": "p", "upload_id": "u", "detector": "named", "version": "1",
        "status": Status.SCORED, "score": 0.5, "elapsed": 0.1, "at": AT,
    }  # fmt: skip
    return Prediction(**fields | given)


def verdict(**given: object) -> Verdict:
    fields = {
        "id": "v", "upload_id": "u", "action": "allow", "revision": 1, "policy_version": "p@1",
        "rule": "none", "reasons": ("nothing was found",), "decided_by": "policy", "at": AT,
        "latency": 0.5,
    }  # fmt: skip
    return Verdict(**fields | given)


def value(name: str, **labels: str) -> float:
    return prometheus_client.REGISTRY.get_sample_value(name, labels) or 0.0


def ours(families: Iterator[object]) -> dict[str, object]:
    return {one.name: one for one in families if one.name.startswith("quorum_")}


@pytest.mark.parametrize("process", metrics.PROCESSES)
def test_each_family_is_valid_openmetrics_with_a_sample(process: str) -> None:
    for metric, served in metrics.FAMILIES.values():
        if process in served and metric._labelnames:
            metric.labels(*("some" for _ in metric._labelnames))
    body, kind = metrics.page(process, {"accept": "application/openmetrics-text; version=1.0.0"})
    assert kind.startswith("application/openmetrics-text")
    found = ours(openmetrics(body.decode()))
    assert set(found) == {n for n, one in metrics.FAMILIES.items() if process in one.served}
    for name, family in found.items():
        metric = metrics.FAMILIES[name].metric
        assert family.type == metric._type
        assert family.documentation == metric._documentation
        assert family.samples
        if family.type == "counter":
            assert {one.name for one in family.samples} == {f"{name}_total"}


def test_names_follow_the_practice() -> None:
    for name, (metric, served) in metrics.FAMILIES.items():
        assert re.fullmatch(r"quorum(_[a-z]+)+", name), name
        assert not NOT_BASE.search(name), name
        assert metric._documentation.endswith("."), name
        assert served and set(served) <= set(metrics.PROCESSES)
        assert not {"le", "quantile", "job", "instance"} & set(metric._labelnames)
        # A gauge or histogram with the suffix of a counter would be read as one.
        assert not name.endswith(("_total", "_count", "_sum", "_bucket", "_info", "_created"))


def test_no_other_module_declares_a_metric() -> None:
    folders = ("quorum/core", "quorum/store", "quorum/apps", "models", "aggregator", "pipeline")
    files = [file for folder in folders for file in (ROOT / folder).rglob("*.py")]
    named = {file for file in files if "prometheus_client" in file.read_text(encoding="utf-8")}
    assert named == {ROOT / "quorum/core/metrics.py"}


def test_the_text_format_is_the_default_and_shows_no_series_beside_the_table() -> None:
    body, kind = metrics.page("stream", {})
    assert kind.startswith("text/plain")
    found = ours(text_format(body.decode()))
    assert set(found) == {n for n, one in metrics.FAMILIES.items() if "stream" in one.served}


def test_a_prediction_is_counted_with_its_time_and_cost() -> None:
    labels = {"detector": "named"}
    before = value("quorum_endpoint_tokens_total", **labels)
    metrics.count_prediction(prediction(usage=Usage(calls=1, tokens=7, seconds=0.2, cached=0)))
    assert value("quorum_predictions_total", status="scored", **labels) >= 1
    assert value("quorum_scoring_seconds_sum", **labels) >= 0.1
    assert value("quorum_endpoint_tokens_total", **labels) - before == 7


@pytest.mark.parametrize(
    ("latency", "revision", "deadline", "met", "missed"),
    [
        (0.5, 1, 10.0, 1, 0),
        (10.4, 1, 10.0, 1, 0),
        (11.1, 1, 10.0, 0, 1),
        (500.0, 2, 10.0, 0, 0),
        (500.0, 1, None, 0, 0),
    ],
)
def test_a_first_verdict_meets_the_deadline_or_misses_it(
    latency: float, revision: int, deadline: float | None, met: int, missed: int
) -> None:
    name = "quorum_first_verdicts_total"
    before = [value(name, deadline=one) for one in ("met", "missed")]
    metrics.count_verdict(verdict(latency=latency, revision=revision), deadline)
    after = [value(name, deadline=one) for one in ("met", "missed")]
    assert [b - a for a, b in zip(before, after, strict=True)] == [met, missed]
    assert value("quorum_rule_verdicts_total", rule="none", action="allow") > 0


def test_a_case_that_waits_for_its_deadline_has_a_bucket_of_its_own() -> None:
    assert list(metrics.SECONDS) == sorted(metrics.SECONDS)
    assert metrics.SECONDS[-1] >= 60
