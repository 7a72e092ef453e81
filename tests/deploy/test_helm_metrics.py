"""Metrics shown to Prometheus need a key; the probes beside them work without one."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest
from ruamel.yaml import YAML

from quorum.apps.cli.options import MetricsOptions
from quorum.apps.http.keys import new_key
from quorum.core import monitoring
from quorum.core.monitoring import Listen
from tests.deploy.test_helm import CHART, helm, of_kind, pods

JOBS = ("detect", "decide", "record", "console", "alerts")
FOLDER = CHART.parents[1]


def options(pod: dict[str, Any], keys: Path) -> MetricsOptions:
    """The options of metrics among a container's arguments, with the keys of this test."""
    args = dict(one.removeprefix("--").partition("=")[::2] for one in pod["args"])
    file = keys if "metrics-keys" in args else None
    return MetricsOptions(0, args.get("metrics-host", "127.0.0.1"), file)


@contextmanager
def served(listen: Listen) -> Iterator[int]:
    server, thread = monitoring.serve(listen)
    with closing(server.socket):
        yield server.server_port
        server.shutdown()
        thread.join(60)


def probes(container: dict[str, Any]) -> dict[str, Any]:
    return {name: probe for name, probe in container.items() if name.endswith("Probe")}


@pytest.fixture
def keys(tmp_path: Path) -> tuple[Path, dict[str, str]]:
    secret, line = new_key("prometheus", frozenset({"metrics"}))
    file = tmp_path / "keys.txt"
    file.write_text(line + "\n")
    return file, {"authorization": f"Bearer {secret}"}


@pytest.mark.parametrize("job", ["detect", "decide", "record", "alerts"])
def test_probes_need_no_key_where_metrics_do(job: str, keys: tuple[Path, dict[str, str]]) -> None:
    (container,) = pods("scraped")[job]["spec"]["containers"]
    listen = options(container, keys[0]).listen("record")
    assert listen is not None
    assert listen.allowed is not None
    asked = probes(container)
    assert set(asked) == {"startupProbe", "livenessProbe", "readinessProbe"}
    with served(replace(listen, host="127.0.0.1")) as port:
        base = f"http://127.0.0.1:{port}"
        for probe in asked.values():
            assert probe["httpGet"]["port"] == "metrics"
            # As the kubelet asks: without a header of ours.
            assert httpx.get(base + probe["httpGet"]["path"], trust_env=False).status_code == 200
        assert httpx.get(f"{base}/metrics", trust_env=False).status_code == 401
        told = httpx.get(f"{base}/metrics", headers=keys[1], trust_env=False)
        assert "quorum_ready" in told.text


def test_probes_by_command_need_no_key_either(keys: tuple[Path, dict[str, str]]) -> None:
    (container,) = pods("default")["record"]["spec"]["containers"]
    command = container["readinessProbe"]["exec"]["command"]
    listen = MetricsOptions(0, "0.0.0.0", keys[0]).listen("record")
    assert listen is not None
    with served(listen) as port:
        asked = [one.replace("9464", str(port)) for one in command[1:]]
        done = subprocess.run(
            [sys.executable, "-m", "quorum", *asked],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
    assert (done.returncode, done.stdout) == (0, "ok\n"), done.stderr


@pytest.mark.parametrize("job", JOBS)
def test_where_metrics_are_served(job: str) -> None:
    def container(name: str) -> dict[str, Any]:
        one: dict[str, Any] = pods(name)[job]["spec"]["containers"][0]
        return one

    def arguments(name: str) -> set[str]:
        return {one for one in container(name)["args"] if one.startswith("--metrics")}

    own = set() if job == "console" else {"--metrics-port=9464"}
    unscraped = "told" if job == "alerts" else "default"
    assert arguments(unscraped) == own  # loopback
    assert arguments("scraped") == {
        "--metrics-port=9464",
        "--metrics-host=0.0.0.0",
        "--metrics-keys=/etc/quorum-metrics/keys.txt",
    }
    assert {"name": "metrics", "containerPort": 9464} in container("scraped")["ports"]
    assert "metrics" not in str(container(unscraped).get("ports"))
    mounts = {one["name"]: one["mountPath"] for one in container("scraped")["volumeMounts"]}
    assert mounts["metrics"] == "/etc/quorum-metrics"
    (volume,) = [v for v in pods("scraped")[job]["spec"]["volumes"] if v["name"] == "metrics"]
    assert volume["secret"]["secretName"] == "quorum-metrics"
    assert volume["secret"]["items"] == [{"key": "keys.txt", "path": "keys.txt"}]


def test_only_prometheus_reaches_the_metrics() -> None:
    policies = {one["metadata"]["name"]: one["spec"] for one in of_kind("scraped", "NetworkPolicy")}
    monitoring = {"kubernetes.io/metadata.name": "monitoring"}
    for job in (*JOBS, "web"):
        port = "http" if job == "web" else "metrics"
        *others, scrape = policies[f"q-{job}"]["ingress"]
        assert scrape["from"] == [{"namespaceSelector": {"matchLabels": monitoring}}]
        assert [one["port"] for one in scrape["ports"]] == [port]
        assert len(others) == (job in ("web", "console"))
    for job in ("prune", "batch"):
        assert "ingress" not in policies[f"q-{job}"]


def test_the_operator_scrapes_each_pod_once_under_the_name_that_the_rules_have() -> None:
    monitors = {one["metadata"]["name"]: one for one in of_kind("scraped", "PodMonitor")}
    assert set(monitors) == {"q-metrics-jobs", "q-metrics-web"}
    found: dict[str, str] = {}
    for monitor in monitors.values():
        assert monitor["metadata"]["labels"]["release"] == "prometheus"
        selector = monitor["spec"]["selector"]
        (chosen,) = selector["matchExpressions"]
        (endpoint,) = monitor["spec"]["podMetricsEndpoints"]
        assert endpoint["path"] == "/metrics"
        credentials = endpoint["authorization"]["credentials"]
        assert credentials == {"name": "quorum-prometheus", "key": "key"}
        (named,) = endpoint["relabelings"]
        for job, pod in pods("scraped").items():
            labels = pod["metadata"]["labels"]
            inside = labels[chosen["key"]] in chosen["values"]
            ports = {p["name"] for c in pod["spec"]["containers"] for p in c.get("ports", [])}
            if inside is (chosen["operator"] == "In") and endpoint["port"] in ports:
                assert selector["matchLabels"].items() <= labels.items()
                assert job not in found
                found[job] = named["replacement"].replace("$1", job)
    assert found == {
        "detect": "quorum-detect",
        "decide": "quorum-decide",
        "record": "quorum-record",
        "console": "quorum-console",
        "alerts": "quorum-alerts",
        "web": "quorum-serve",
    }
    scraped = YAML(typ="safe").load((FOLDER / "prometheus" / "prometheus.yaml").read_text())
    by_hand = {one["job_name"] for one in scraped["scrape_configs"]}
    assert by_hand - {"quorum-stream"} <= set(found.values())
    rules = (FOLDER / "prometheus" / "quorum.rules.yaml").read_text()
    named = set(re.findall(r'job="(quorum-\w+)"', rules))
    assert named <= by_hand | set(found.values())
    assert not of_kind("default", "PodMonitor")


@pytest.mark.parametrize(
    "wrong",
    [
        {"metrics": {"enabled": True, "keys": {"name": ""}}},
        {"metrics": {"open": True}},
        {"metrics": {"podMonitor": {"interval": "often"}}},
    ],
)
def test_metrics_without_a_key_are_refused(wrong: dict[str, Any]) -> None:
    with helm.Chart.load(str(CHART)) as chart, pytest.raises(helm.HelmError):
        chart.render(wrong, name="q", namespace="moderation")
