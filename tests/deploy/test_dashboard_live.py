"""A real Prometheus takes each query of the dashboard, and has data where a process served some."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator

import pytest

from benchmarks.dashboard import Panel, Prometheus, panels
from quorum.aggregator.policy.policy import load_policy
from quorum.core import health, metrics, monitoring
from quorum.core.monitoring import Listen
from quorum.pipeline.policies.live import show_decides

pytestmark = pytest.mark.skipif(
    shutil.which("prometheus") is None, reason="needs Debian's package prometheus"
)

#: Jobs of deploy/prometheus/prometheus.yaml, each with its process.
JOBS = {
    "quorum-stream": "stream",
    "quorum-record": "record",
    "quorum-serve": "serve",
    "quorum-console": "console",
}


#: Of what never happened there is no share and no quantile, and `quorum alerts` does not run.
NO_NUMBER = {
    "Met in the range shown",
    "Budget burned (1 is as fast as allowed)",
    "Time to a verdict",
    "Made at the deadline, something missing",
    "Lag: publication to reading",
    "Removals by rule, share of all",
    "Removals against the band of the week",
    "Failed",
    "Time in a detector, 95 %",
    "Alerts to people: open, and notices in an hour",
}


@pytest.fixture(scope="module")
def prometheus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    """A Prometheus that has scraped every family of every process, each with some of all labels."""
    for metric, _ in metrics.FAMILIES.values():
        if metric._labelnames:
            metric.labels(*("some" for _ in metric._labelnames))
    # As each process that decides does when it begins, whether it follows releases or not.
    show_decides(load_policy("balanced"), None)
    ended = health.register("test", lambda: None)
    servers = {job: monitoring.serve(Listen(process, 0)) for job, process in JOBS.items()}
    targets = {job: f"127.0.0.1:{server.server_port}" for job, (server, _) in servers.items()}
    made = Prometheus(tmp_path_factory.mktemp("prometheus"), targets, scrape=1)
    yield made
    made.close()
    ended()
    for server, thread in servers.values():
        server.shutdown()
        server.server_close()
        thread.join(60)


@pytest.fixture(scope="module")
def scraped(prometheus: Prometheus) -> Prometheus:
    """After three scrapes of each job, so that a rate can be taken."""
    until = time.monotonic() + 120
    while time.monotonic() < until:
        told = prometheus.ask("query", query="count_over_time(quorum_ready[2m]) > 2")["result"]
        if {one["metric"]["job"] for one in told} == set(JOBS):
            return prometheus
        time.sleep(0.3)
    pytest.fail("Prometheus scraped nothing in two minutes")


def test_every_target_is_up(scraped: Prometheus) -> None:
    told = scraped.ask("query", query="up")["result"]
    assert {one["metric"]["job"]: one["value"][1] for one in told} == dict.fromkeys(JOBS, "1")


@pytest.mark.parametrize("panel", panels(), ids=lambda panel: panel.title)
def test_prometheus_takes_the_queries_of_a_panel(scraped: Prometheus, panel: Panel) -> None:
    end = time.time()
    lines = scraped.lines(panel, end - 30, end, rate=30, step=1)
    assert bool(lines) is (panel.title not in NO_NUMBER), panel.title
    assert all(line.legend for line in lines)


def test_a_query_that_is_wrong_is_refused(scraped: Prometheus) -> None:
    wrong = Panel("wrong", "short", "timeseries", (("sum by (job (quorum_ready)", "x"),))
    with pytest.raises(ValueError, match="parse error"):
        scraped.lines(wrong, time.time() - 10, time.time())
