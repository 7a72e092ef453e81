"""The stream on Flink in the chart: the operator's fields, its pods, networks and scaling."""

from __future__ import annotations

import functools
import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from quorum.pipeline.flink.cluster import _CHECKPOINTS
from tests.deploy.test_deploy import check
from tests.deploy.test_helm import CHART, VALUES, helm, of_kind, pods, rendered

#: Written from the operator's CRD (apache/flink-kubernetes-operator,
#: helm/flink-kubernetes-operator/crds/flinkdeployments.flink.apache.org-v1.yml at 0121afb): the
#: fields that the chart uses, with nothing beside them.
SCHEMA = json.loads(Path(__file__).with_name("flink_deployment.schema.json").read_text())
PARTS = {"jobManager": {6123, 6124, 8081}, "taskManager": {6121, 6122}}


@functools.cache
def deployment() -> dict[str, Any]:
    (found,) = of_kind("flink", "FlinkDeployment")
    return found


def template(part: str) -> dict[str, Any]:
    made: dict[str, Any] = deployment()["spec"][part]["podTemplate"]
    return made


def container(part: str, name: str) -> dict[str, Any]:
    (found,) = [one for one in template(part)["spec"]["containers"] if one["name"] == name]
    return dict(found)


def policies() -> dict[str, dict[str, Any]]:
    return {one["metadata"]["name"]: one["spec"] for one in of_kind("flink", "NetworkPolicy")}


def test_it_has_the_operators_fields_and_kubernetes_own_pods() -> None:
    jsonschema.validate(deployment(), SCHEMA)
    validator = pytest.importorskip(
        "kubernetes_validate", reason="needs Kubernetes' schemas: pip install kubernetes-validate"
    )
    for part in PARTS:
        made = {
            "apiVersion": "v1",
            "kind": "PodTemplate",
            "metadata": {"name": part.lower()},
            "template": template(part),
        }
        validator.validate(made, "1.31", strict=True)


def test_it_is_off_by_default_and_takes_the_place_of_the_streams_pod() -> None:
    assert not of_kind("fused", "FlinkDeployment")
    assert "stream" in pods("fused")
    (job,) = [one for one in of_kind("flink", "Job") if one["metadata"]["name"] == "q-stream"]
    assert job["metadata"]["annotations"]["helm.sh/hook"] == "post-install"
    assert not [one for one in of_kind("flink", "Deployment") if "stream" in str(one["metadata"])]


def test_what_was_acknowledged_outlives_the_cluster() -> None:
    configuration = deployment()["spec"]["flinkConfiguration"]
    folders = {key: value for key, value in configuration.items() if "://" in value}
    assert folders == {
        "state.checkpoints.dir": "gs://bucket/quorum/checkpoints",
        "state.savepoints.dir": "gs://bucket/quorum/savepoints",
        "high-availability.storageDir": "gs://bucket/quorum/high-availability",
    }
    # The start of a job refuses a cluster without one of these.
    assert set(_CHECKPOINTS) & set(configuration)
    assert configuration["high-availability.type"] == "kubernetes"
    assert configuration["state.backend.type"] == "rocksdb"
    assert configuration["security.ssl.internal.enabled"] == "true"


def test_the_job_goes_to_the_clusters_service_and_workers_are_beside_each_taskmanager() -> None:
    (submit,) = pods("flink")["stream"]["spec"]["containers"]
    args = submit["args"]
    check(args)
    # The operator names the service of REST after the deployment.
    assert f"--flink-master={deployment()['metadata']['name']}-rest:8081" in args
    assert submit["image"] != container("taskManager", "worker-pool")["image"]
    worker = container("taskManager", "worker-pool")
    check(worker["args"])
    # Where a TaskManager looks for it (`--flink-pool`).
    assert "--port=50000" in worker["args"]
    names = [one["name"] for one in template("jobManager")["spec"]["containers"]]
    assert names == ["flink-main-container"]


@pytest.mark.parametrize("part", PARTS)
def test_pods_are_probed_and_confined(part: str) -> None:
    spec = template(part)["spec"]
    assert spec["securityContext"]["runAsNonRoot"] is True
    assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    for one in spec["containers"]:
        assert {"startupProbe", "livenessProbe"} <= set(one)
        assert one["securityContext"]["allowPrivilegeEscalation"] is False
        assert one["securityContext"]["capabilities"] == {"drop": ["ALL"]}
        assert one["securityContext"]["runAsUser"] > 0
    if part == "taskManager":
        worker = container(part, "worker-pool")
        assert worker["securityContext"]["readOnlyRootFilesystem"] is True
        assert set(worker["resources"]) == {"requests", "limits"}
        # Its port is on loopback, where a probe of the pod's address does not reach it.
        assert "127.0.0.1" in str(worker["livenessProbe"]["exec"])


@pytest.mark.parametrize(("part", "ports"), PARTS.items())
def test_ports_that_run_code_are_open_to_the_releases_own_pods_alone(
    part: str, ports: set[int]
) -> None:
    configuration = deployment()["spec"]["flinkConfiguration"]
    fixed = {int(value) for key, value in configuration.items() if key.endswith("port")}
    assert ports <= fixed
    spec = policies()[f"q-flink-{part.lower()}"]
    labels = template(part)["metadata"]["labels"]
    assert spec["podSelector"]["matchLabels"].items() <= labels.items()
    opened: set[int] = set()
    for rule in spec["ingress"]:
        for source in rule["from"]:
            if "namespaceSelector" in source:
                assert source == {
                    "namespaceSelector": {
                        "matchLabels": {"kubernetes.io/metadata.name": "flink-operator"}
                    }
                }
                assert [each["port"] for each in rule["ports"]] == [8081]
            else:
                chosen = source["podSelector"]["matchLabels"]
                assert chosen["app.kubernetes.io/instance"] == "q"
                assert chosen["app.kubernetes.io/component"] in {
                    "flink-jobmanager",
                    "flink-taskmanager",
                    "stream",
                }
        opened |= {each["port"] for each in rule["ports"]}
    assert opened == ports
    assert 50000 not in opened
    for rule in spec["egress"]:
        for to in rule["to"]:
            if to.get("ipBlock", {}).get("cidr") == "0.0.0.0/0":
                assert "169.254.0.0/16" in to["ipBlock"]["except"]


def test_nodes_are_drained_one_pod_after_the_other() -> None:
    budgets = {
        one["metadata"]["name"]: one["spec"] for one in of_kind("flink", "PodDisruptionBudget")
    }
    for part in PARTS:
        spec = budgets[f"q-flink-{part.lower()}"]
        assert spec["maxUnavailable"] == 1
        labels = template(part)["metadata"]["labels"]
        assert spec["selector"]["matchLabels"].items() <= labels.items()


def test_taskmanagers_grow_with_the_backlog_and_the_job_has_room_for_the_most() -> None:
    (scaled,) = of_kind("flink", "ScaledObject")
    spec = scaled["spec"]
    found = deployment()
    assert spec["scaleTargetRef"] == {
        "apiVersion": found["apiVersion"],
        "kind": found["kind"],
        "name": found["metadata"]["name"],
    }
    # The CRD's scale is of the TaskManagers, in standalone mode.
    assert found["spec"]["mode"] == "standalone"
    assert spec["minReplicaCount"] == found["spec"]["taskManager"]["replicas"]
    (submit,) = pods("flink")["stream"]["spec"]["containers"]
    slots = int(found["spec"]["flinkConfiguration"]["taskmanager.numberOfTaskSlots"])
    assert f"--parallelism={spec['maxReplicaCount'] * slots}" in submit["args"]
    assert found["spec"]["flinkConfiguration"]["jobmanager.scheduler"] == "adaptive"
    (read,) = [each for each in submit["args"] if each.startswith("--uploads=")]
    assert read.endswith(spec["triggers"][0]["metadata"]["subscriptionName"])


def test_an_account_may_write_config_maps_of_its_namespace_and_nothing_else() -> None:
    (role,) = of_kind("flink", "Role")
    assert [(one["apiGroups"], one["resources"]) for one in role["rules"]] == [
        ([""], ["configmaps"])
    ]
    assert not of_kind("flink", "ClusterRole", "ClusterRoleBinding")
    (binding,) = of_kind("flink", "RoleBinding")
    assert binding["subjects"][0]["name"] == deployment()["spec"]["serviceAccount"]


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"mode": "fused", "flink": {"enabled": True}}, "stateFolder"),
        ({"flink": {"enabled": True, "stateFolder": "gs://b/q"}}, "fused"),
        ({"mode": "fused", "flink": {"enabled": False, "version": "v2_9"}}, "version"),
        ({"flink": {"enabled": False, "stateFolder": "/tmp"}}, "stateFolder"),
    ],
)
def test_values_that_would_lose_state_are_refused(wrong: dict[str, Any], told: str) -> None:
    with helm.Chart.load(str(CHART)) as chart, pytest.raises(helm.HelmError, match=told):
        chart.render(wrong, name="q", namespace="moderation")


def test_values_of_the_test_reach_the_chart() -> None:
    assert "flink" in VALUES
    assert rendered("flink")
