"""The Helm chart, rendered by Helm's own library, is held against the product and Kubernetes."""

from __future__ import annotations

import functools
import re
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from quorum.core.settings import Settings
from quorum.pipeline.streams.topics import planned
from tests.deploy.test_deploy import check

helm = pytest.importorskip("helm_python", reason="needs Helm: pip install helm-python-sdk")

CHART = Path(__file__).parents[2] / "deploy" / "helm" / "quorum"
DIGEST = "sha256:" + "0" * 64
#: Whom alerts are sent to.
CHANNELS = [
    {"name": "team", "kind": "slack", "url_env": "SLACK_URL"},
    {
        "name": "mail",
        "kind": "email",
        "host": "smtp.example.org",
        "sender": "quorum@example.org",
        "to": ["desk@example.org"],
    },
    {
        "name": "deputy",
        "kind": "email",
        "host": "smtp.example.org",
        "port": 465,
        "security": "tls",
        "sender": "quorum@example.org",
        "to": ["deputy@example.org"],
    },
]
#: By name, values that together reach every branch of the templates.
VALUES: dict[str, dict[str, Any]] = {
    "default": {},
    "fused": {
        "mode": "fused",
        "batch": {"enabled": True},
        "secrets": {
            "signing": {"name": "quorum-signing"},
            "proxy": {"name": "quorum-proxy"},
            "oidc": {"name": "quorum-oidc"},
            "webhooks": "quorum-webhooks",
        },
        "console": {
            "userHeader": "x-user",
            "proxies": ["10.0.0.5"],
            "anchors": {"storageClass": "fast"},
        },
        "webhooks": [{"name": "shop", "url": "https://shop.example/h", "secret_env": "SHOP"}],
        "policies": {"mine.yaml": "name: mine\n"},
        "pullSecrets": [{"name": "pull"}],
        "nodeSelector": {"pool": "cpu"},
        "tolerations": [{"key": "x", "operator": "Exists"}],
        "image": {"digest": DIGEST},
        "livePolicies": True,
    },
    "told": {
        "alerts": {"enabled": True},
        "livePolicies": True,
        "settings": {"alerts": {"channels": CHANNELS}},
        "secrets": {"alerts": "quorum-alerts"},
        "networkPolicy": {"smtp": {"cidr": "10.0.0.7/32"}},
    },
    "keda": {"autoscaling": {"by": "keda"}, "web": {"enabled": False}},
    "scraped": {
        "metrics": {
            "enabled": True,
            "podMonitor": {"enabled": True, "labels": {"release": "prometheus"}},
        },
        "batch": {"enabled": True},
        "alerts": {"enabled": True},
        "settings": {"alerts": {"channels": CHANNELS[:1]}},
    },
    "small": {
        "autoscaling": {"by": "none"},
        "console": {"enabled": False},
        "prune": {"enabled": False},
        "networkPolicy": {"enabled": False},
    },
    "flink": {
        "mode": "fused",
        "flink": {
            "enabled": True,
            "stateFolder": "gs://bucket/quorum/",
            "autoscaling": {"enabled": True},
            "configuration": {"security.ssl.internal.enabled": "true"},
        },
        "secrets": {"signing": {"name": "quorum-signing"}},
        "pullSecrets": [{"name": "pull"}],
        "nodeSelector": {"pool": "cpu"},
        "tolerations": [{"key": "x", "operator": "Exists"}],
    },
}
#: Kinds of which Kubernetes has no schema.
CUSTOM = ("keda.sh/", "flink.apache.org/", "monitoring.coreos.com/")


@functools.cache
def rendered(name: str) -> list[dict[str, Any]]:
    with helm.Chart.load(str(CHART)) as chart:
        files = chart.render(VALUES[name], name="q", namespace="moderation")
    made = [
        document
        for path, text in sorted(files.items())
        if path.endswith(".yaml")
        for document in YAML(typ="safe").load_all(text)
        if document
    ]
    assert made
    return made


def of_kind(name: str, *kinds: str) -> list[dict[str, Any]]:
    return [one for one in rendered(name) if one["kind"] in kinds]


def pods(name: str) -> dict[str, dict[str, Any]]:
    found = {}
    for one in of_kind(name, "Deployment", "CronJob", "Job"):
        spec = one["spec"]
        template = spec["jobTemplate"]["spec"] if one["kind"] == "CronJob" else spec
        found[one["metadata"]["name"].removeprefix("q-")] = template["template"]
    return found


everywhere = pytest.mark.parametrize("name", list(VALUES))


def test_helm_finds_no_fault() -> None:
    found = helm.lint(str(CHART))
    assert found["errors"] == []
    assert {one["error"] for one in found["messages"]} <= {"icon is recommended"}


@everywhere
def test_what_is_rendered_is_of_kubernetes_own_schema(name: str) -> None:
    validator = pytest.importorskip(
        "kubernetes_validate", reason="needs Kubernetes' schemas: pip install kubernetes-validate"
    )
    for document in rendered(name):
        if not document["apiVersion"].startswith(CUSTOM):
            validator.validate(document, "1.31", strict=True)


@everywhere
def test_each_job_is_there_and_calls_a_command_that_is(name: str) -> None:
    apart = VALUES[name].get("mode", "apart") == "apart"
    wanted = {"record", "migrate"} | ({"detect", "decide"} if apart else {"stream"})
    usually = {"web": True, "console": True, "prune": True, "batch": False, "alerts": False}
    for job, usual in usually.items():
        if VALUES[name].get(job, {}).get("enabled", usual):
            wanted.add(job)
    assert set(pods(name)) == wanted
    for pod in pods(name).values():
        (container,) = pod["spec"]["containers"]
        check(container["args"])


@everywhere
def test_pods_fit_the_restricted_standard_and_hold_no_token(name: str) -> None:
    for job, pod in pods(name).items():
        spec = pod["spec"]
        (container,) = spec["containers"]
        assert spec["automountServiceAccountToken"] is False
        assert spec["securityContext"]["runAsNonRoot"] is True
        assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "runAsNonRoot": True,
            "capabilities": {"drop": ["ALL"]},
        }
        assert not {"hostNetwork", "hostPID", "hostIPC"} & set(spec)
        allowed = {"configMap", "secret", "emptyDir", "persistentVolumeClaim"}
        for volume in spec["volumes"]:
            assert set(volume) - {"name"} <= allowed
        assert {each["name"] for each in container["volumeMounts"]} == {
            each["name"] for each in spec["volumes"]
        }
        assert set(container["resources"]) == {"requests", "limits"}
        drain = [a.partition("=")[2] for a in container["args"] if a.startswith("--drain")]
        assert all(int(each) < spec["terminationGracePeriodSeconds"] for each in drain), job


@everywhere
def test_each_job_has_an_account_of_its_own(name: str) -> None:
    accounts = {one["metadata"]["name"]: one for one in of_kind(name, "ServiceAccount")}
    accounts.pop("q-flink", None)
    assert all(one["automountServiceAccountToken"] is False for one in accounts.values())
    assert {job: pod["spec"]["serviceAccountName"] for job, pod in pods(name).items()} == {
        job: f"q-{job}" for job in pods(name)
    }
    assert set(accounts) == {f"q-{job}" for job in pods(name)}


@everywhere
def test_selectors_select_the_pods_of_their_job(name: str) -> None:
    labels = {job: pod["metadata"]["labels"] for job, pod in pods(name).items()}
    for one in rendered(name):
        job = one["metadata"]["name"].removeprefix("q-")
        spec = one.get("spec", {})
        selector = spec.get("selector") or spec.get("podSelector")
        if job in labels and selector is not None:
            chosen = selector.get("matchLabels", selector)
            assert [each for each in labels if chosen.items() <= labels[each].items()] == [job]
    for job, pod in pods(name).items():
        spread = pod["spec"].get("topologySpreadConstraints", [])
        assert bool(spread) is ("restartPolicy" not in pod["spec"])
        for each in spread:
            assert each["labelSelector"]["matchLabels"].items() <= labels[job].items()


def test_networks_deny_by_default_and_allow_what_a_job_needs() -> None:
    policies = {one["metadata"]["name"]: one["spec"] for one in of_kind("default", "NetworkPolicy")}
    deny = policies["q-deny"]
    assert set(deny) == {"podSelector", "policyTypes"}
    assert deny["policyTypes"] == ["Ingress", "Egress"]
    for job, pod in pods("default").items():
        chosen = deny["podSelector"]["matchLabels"]
        assert chosen.items() <= pod["metadata"]["labels"].items()
        if job == "migrate":
            continue
        spec = policies[f"q-{job}"]
        assert bool(spec.get("ingress")) is (job in ("web", "console"))
        reached = {each["ports"][0]["port"] for each in spec["egress"]}
        holds_database = "QUORUM_DATABASE" in str(pod)
        assert (5432 in reached) is holds_database
        assert (443 in reached) is (job != "prune")
        for each in spec["egress"]:
            for to in each["to"]:
                if to["ipBlock"]["cidr"] == "0.0.0.0/0":
                    assert "169.254.0.0/16" in to["ipBlock"]["except"]
    assert not of_kind("small", "NetworkPolicy")


@everywhere
def test_subscriptions_topics_and_settings_are_those_of_the_product(name: str) -> None:
    plan = planned("my-project", "quorum", fused=True, apart=True, record=True)
    known = {*plan.topics, *(each.path for each in plan.subscriptions)}
    named = set(re.findall(r"projects/my-project/\w+/quorum-[\w-]+", str(rendered(name))))
    assert named
    assert named <= known
    (settings,) = of_kind(name, "ConfigMap")
    Settings.model_validate(YAML(typ="safe").load(settings["data"]["settings.yaml"]))
    more = set(settings["data"]) - {"settings.yaml"}
    assert more == ({"mine.yaml", "webhooks.yaml"} if name == "fused" else set())
    assert not of_kind(name, "Secret")


def test_who_has_which_secret() -> None:
    has: dict[str, set[str]] = {}
    for job, pod in pods("fused").items():
        env = pod["spec"]["containers"][0].get("env", [])
        has[job] = {each["name"] for each in env if "valueFrom" in each}
    database = {"QUORUM_DATABASE"}
    assert has == {
        "stream": {"QUORUM_SIGNING_KEY"},
        "record": database,
        "web": database,
        "console": database
        | {"QUORUM_AUDIT_KEY", "QUORUM_SIGNING_KEY", "QUORUM_PROXY_SECRET", "QUORUM_OIDC_SECRET"},
        "prune": database,
        "batch": database,
        "migrate": database,
    }
    for job, pod in pods("fused").items():
        image = pod["spec"]["containers"][0]["image"]
        assert image == f"quorum@{DIGEST}"
        mounted = [v["name"] for v in pod["spec"].get("volumes", []) if "secret" in v]
        assert mounted == (["keys"] if job in ("web", "console") else [])


def test_alerts_have_the_database_their_secrets_and_a_way_to_the_mail_server() -> None:
    assert "alerts" not in pods("default")
    (container,) = pods("told")["alerts"]["spec"]["containers"]
    assert container["envFrom"] == [{"secretRef": {"name": "quorum-alerts"}}]
    given = {each["name"] for each in container["env"] if "valueFrom" in each}
    assert given == {"QUORUM_DATABASE"}
    for job, pod in pods("told").items():
        assert ("quorum-alerts" in str(pod)) is (job == "alerts")
    assert "envFrom" not in pods("scraped")["alerts"]["spec"]["containers"][0]
    reached = {}
    for name in ("told", "scraped"):
        policies = {one["metadata"]["name"]: one["spec"] for one in of_kind(name, "NetworkPolicy")}
        reached[name] = {
            (each["to"][0]["ipBlock"]["cidr"], each["ports"][0]["port"])
            for each in policies["q-alerts"]["egress"]
        }
    assert reached["told"] - reached["scraped"] == {("10.0.0.7/32", 587), ("10.0.0.7/32", 465)}
    assert {("10.0.0.0/8", 5432), ("0.0.0.0/0", 443)} <= reached["scraped"]


@pytest.mark.parametrize(
    ("values", "mend"),
    [
        ({"alerts": {"enabled": True}}, "settings.alerts.channels"),
        (
            {"alerts": {"enabled": True}, "settings": {"alerts": {"channels": CHANNELS}}},
            "channel mail: set networkPolicy.smtp.cidr",
        ),
    ],
    ids=["nobody to tell", "no way to the mail server"],
)
def test_alerts_that_would_tell_nobody_are_refused_with_the_mend(
    values: dict[str, Any], mend: str
) -> None:
    with helm.Chart.load(str(CHART)) as chart, pytest.raises(helm.HelmError, match=mend):
        chart.render(values, name="q", namespace="moderation")


def test_jobs_follow_released_policies_where_that_is_on() -> None:
    def given(name: str) -> dict[str, str]:
        found = {}
        for job, pod in pods(name).items():
            for word in pod["spec"]["containers"][0]["args"]:
                if word.startswith("--policies="):
                    found[job] = word.partition("=")[2]
        return found

    project = "projects/my-project"
    recorded = {"record": f"{project}/subscriptions/quorum-policies-record"}
    shared = recorded | {"web": "ledger", "console": f"{project}/topics/quorum-policies"}
    assert given("default") == recorded
    assert given("told") == shared | {"decide": f"{project}/subscriptions/quorum-policies-decide"}
    assert given("fused") == shared | {"stream": f"{project}/subscriptions/quorum-policies-stream"}


def test_detectors_grow_with_their_backlog() -> None:
    (scaler,) = [one for one in of_kind("default", "HorizontalPodAutoscaler")
                 if one["metadata"]["name"] == "q-detect"]  # fmt: skip
    metric = scaler["spec"]["metrics"][0]["external"]["metric"]
    by_hpa = metric["selector"]["matchLabels"]["resource.labels.subscription_id"]
    (scaled,) = of_kind("keda", "ScaledObject")
    by_keda = scaled["spec"]["triggers"][0]["metadata"]["subscriptionName"]
    args = pods("default")["detect"]["spec"]["containers"][0]["args"]
    (read,) = [each.partition("=")[2] for each in args if each.startswith("--uploads=")]
    assert read == by_keda
    assert read.endswith(f"/{by_hpa}")
    for name, scalers in (("keda", 0), ("small", 1), ("fused", 1)):
        assert len(of_kind(name, "HorizontalPodAutoscaler")) == scalers
    budgets = {one["metadata"]["name"] for one in of_kind("default", "PodDisruptionBudget")}
    assert budgets == {"q-record", "q-detect", "q-web"}


@pytest.mark.parametrize(
    "wrong",
    [
        {"modes": "fused"},
        {"mode": "both"},
        {"image": {"digest": "sha256:short"}},
        {"secrets": {"database": {"name": ""}}},
        {"webhooks": [{"name": "a", "url": "http://a", "secret_env": "A"}]},
        {"console": {"hosts": []}},
        {"web": {"replicas": 0}},
        {"networkPolicy": {"clients": {"web": []}}},
    ],
)
def test_values_that_would_do_no_good_are_refused(wrong: dict[str, Any]) -> None:
    with helm.Chart.load(str(CHART)) as chart, pytest.raises(helm.HelmError):
        chart.render(wrong, name="q", namespace="moderation")
