"""The deployment files are held against the commands, routes and topics that they name."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import typer
from ruamel.yaml import YAML

from quorum.core.settings import Settings
from quorum.pipeline.flink.options import FlinkOptions
from quorum.pipeline.streams.topics import planned

DEPLOY = Path(__file__).parents[2] / "deploy"
MANIFESTS = sorted((DEPLOY / "kubernetes").glob("*.yaml"))


def documents() -> Iterator[dict[str, Any]]:
    for path in MANIFESTS:
        yield from YAML(typ="safe").load_all(path.read_text())


def pods() -> Iterator[tuple[str, dict[str, Any]]]:
    for document in documents():
        name = document["metadata"]["name"]
        if document["kind"] == "Deployment":
            yield name, document["spec"]["template"]["spec"]
        if document["kind"] == "CronJob":
            yield name, document["spec"]["jobTemplate"]["spec"]["template"]["spec"]


def command_of(words: list[str]) -> Any:
    found = typer.main.get_command(
        import_module(f"quorum.apps.cli.{words[0].replace('-', '_')}").app
    )
    # A verb with commands of its own may also be run without one.
    return getattr(found, "commands", {}).get(words[1], found)


def check(words: list[str]) -> None:
    """That a verb is there and takes these options."""
    command = command_of(words)
    # What follows `--` is Beam's.
    words = words[: words.index("--")] if "--" in words else words
    known = {name for option in command.params for name in option.opts}
    given = {word.partition("=")[0] for word in words if word.startswith("--")}
    assert given <= known, f"quorum {words[0]} has no {given - known}"
    required = {o.opts[0] for o in command.params if o.required and o.opts[0].startswith("--")}
    assert required <= given, f"quorum {words[0]} needs {required - given}"


def compose(name: str = "compose.yaml") -> dict[str, Any]:
    made: dict[str, Any] = YAML(typ="safe").load((DEPLOY / name).read_text())
    return made


OURS = [
    ("compose", name, service["command"])
    for name, service in compose()["services"].items()
    if "image" in service and service["image"] == "quorum"
]
FLINK = {
    name: service
    for name, service in compose("compose.flink.yaml")["services"].items()
    if service["image"].startswith("quorum")
}


@pytest.mark.parametrize(("_where", "name", "words"), OURS)
def test_compose_calls_commands_that_are_there(_where: str, name: str, words: list[str]) -> None:
    check(words)


def test_compose_needs_what_it_names() -> None:
    made = compose()
    for service in made["services"].values():
        assert set(service.get("depends_on", {})) <= set(made["services"])
    names = {"topics", "migrate", "stream", "record", "alerts", "web"}
    assert {name for _, name, _ in OURS} == names
    # Those that the settings as shipped cannot run have to be asked for.
    asked = {name for name, one in made["services"].items() if "profiles" in one}
    assert asked == {"alerts"}
    (secrets,) = made["services"]["alerts"]["env_file"]
    assert secrets["required"] is False
    plan = planned("quorum", "quorum", record=True)
    known = {*plan.topics, *(each.path for each in plan.subscriptions)}
    named = set(re.findall(r"projects/quorum/\w+/[\w-]+", str(made["services"])))
    assert named <= known


@pytest.mark.parametrize("name", ["stream", "workers"])
def test_compose_hands_the_same_stream_to_flink(name: str) -> None:
    words = FLINK[name]["command"]
    check(words[: words.index("--")] if "--" in words else words)
    alone = next(given for _, service, given in OURS if service == "stream")
    if name == "stream":
        assert {word for word in alone if "projects/" in word} <= set(words)
        assert "--flink-master=jobmanager:8081" in words


def test_flinks_workers_are_on_the_loopback_of_the_taskmanager() -> None:
    services = compose("compose.flink.yaml")["services"]
    assert services["workers"]["network_mode"] == "service:taskmanager"
    default = f"--port={FlinkOptions().pool.rpartition(':')[2]}"
    assert default in services["workers"]["command"]
    assert services["stream"]["build"]["target"] == "flink"
    needed = {name for service in services.values() for name in service.get("depends_on", {})}
    assert needed <= {*services, *compose()["services"]}


@pytest.mark.parametrize("name", ["publish", "watch"])
def test_flinks_platform_is_the_example(name: str) -> None:
    file, word, stream, *rest = [*FLINK[name]["entrypoint"][-1:], *FLINK[name]["command"]]
    assert (DEPLOY.parent / file).is_file()
    assert f"def {word}(" in (DEPLOY.parent / file).read_text()
    plan = planned("quorum", "quorum")
    assert stream in {*plan.topics, *(each.path for each in plan.subscriptions)}
    assert all((DEPLOY.parent / one).is_file() for one in rest)


def test_ports_are_on_loopback_only() -> None:
    services = compose()["services"] | compose("compose.flink.yaml")["services"]
    for service in services.values():
        assert all(str(port).startswith("127.0.0.1:") for port in service.get("ports", []))


@pytest.mark.parametrize(("name", "pod"), list(pods()))
def test_pods_are_confined_limited_and_call_what_is_there(name: str, pod: dict[str, Any]) -> None:
    assert pod["securityContext"]["runAsNonRoot"] is True
    for container in [*pod["containers"], *pod.get("initContainers", [])]:
        check(container["args"])
        assert set(container["resources"]) == {"requests", "limits"}
        confined = container["securityContext"]
        assert confined["allowPrivilegeEscalation"] is False
        assert confined["readOnlyRootFilesystem"] is True
        assert confined["capabilities"] == {"drop": ["ALL"]}
        volumes = {volume["name"] for volume in pod.get("volumes", [])}
        assert {mount["name"] for mount in container.get("volumeMounts", [])} <= volumes
        drain = [a.partition("=")[2] for a in container["args"] if a.startswith("--drain")]
        assert all(int(seconds) < pod["terminationGracePeriodSeconds"] for seconds in drain)


def test_probes_ask_routes_that_are_there() -> None:
    pytest.importorskip("fastapi")
    from quorum.apps.web import lookups

    routes = {getattr(route, "path", "") for route in lookups.router.routes}
    asked = {
        probe["httpGet"]["path"]
        for _, pod in pods()
        for container in pod["containers"]
        for key, probe in container.items()
        if key.endswith("Probe") and "httpGet" in probe
    }
    assert asked == {"/health", "/ready"}
    assert asked <= routes


def test_each_reference_has_its_object() -> None:
    found = {(document["kind"], document["metadata"]["name"]) for document in documents()}
    for document in documents():
        if document["kind"] == "HorizontalPodAutoscaler":
            target = document["spec"]["scaleTargetRef"]
            assert (target["kind"], target["name"]) in found
        if document["kind"] == "Deployment":
            spec = document["spec"]
            labels = spec["template"]["metadata"]["labels"]
            assert spec["selector"]["matchLabels"].items() <= labels.items()
    for _, pod in pods():
        assert ("ServiceAccount", pod["serviceAccountName"]) in found


def test_the_settings_are_settings() -> None:
    (made,) = [d for d in documents() if d["kind"] == "ConfigMap"]
    Settings.model_validate(YAML(typ="safe").load(made["data"]["settings.yaml"]))


def test_manifests_read_subscriptions_that_are_made() -> None:
    plan = planned("PROJECT", "quorum", fused=False, apart=True, record=True)
    known = {*plan.topics, *(each.path for each in plan.subscriptions)}
    named = re.findall(
        r"projects/PROJECT/\w+/quorum-[\w-]+", "".join(path.read_text() for path in MANIFESTS)
    )
    assert named
    assert set(named) <= known


def test_the_backlog_that_detectors_grow_with_is_theirs() -> None:
    (scaler,) = [
        document["spec"]
        for document in documents()
        if document["kind"] == "HorizontalPodAutoscaler"
        and document["metadata"]["name"] == "quorum-detect"
    ]
    (metric,) = scaler["metrics"]
    external = metric["external"]["metric"]
    assert external["name"] == "pubsub.googleapis.com|subscription|num_undelivered_messages"
    subscription = external["selector"]["matchLabels"]["resource.labels.subscription_id"]
    (reads,) = [
        word
        for name, pod in pods()
        if name == "quorum-detect"
        for word in pod["containers"][0]["args"]
        if word.startswith("--uploads=")
    ]
    assert reads.endswith(f"/{subscription}")


@pytest.mark.parametrize("path", MANIFESTS, ids=lambda path: path.name)
def test_manifests_are_of_kubernetes_own_schema(path: Path) -> None:
    validator = pytest.importorskip(
        "kubernetes_validate", reason="needs Kubernetes' schemas: pip install kubernetes-validate"
    )
    for document in YAML(typ="safe").load_all(path.read_text()):
        validator.validate(document, "1.31", strict=True)


def test_compose_is_of_its_own_specification() -> None:
    library = pytest.importorskip(
        "compose_spec", reason="needs the Compose specification: pip install compose-spec"
    )
    for name in ("compose.yaml", "compose.flink.yaml"):
        # The library reads what Compose has after the variables' defaults took their place.
        made = re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", json.dumps(compose(name)))
        library.PyCompose.from_json(made).validate()


def test_compose_mounts_settings_that_are_settings() -> None:
    file = DEPLOY / "settings.yaml"
    Settings.model_validate(YAML(typ="safe").load(file.read_text()))
    mount = f"${{QUORUM_SETTINGS_FILE:-./{file.name}}}:/etc/quorum/settings.yaml:ro"
    for name, service in compose()["services"].items():
        if "--settings=/etc/quorum/settings.yaml" in service.get("command", ()):
            assert mount in service["volumes"], name
    reads = {
        name
        for name, service in compose()["services"].items()
        if "--settings=/etc/quorum/settings.yaml" in service.get("command", ())
    }
    assert reads == {"stream", "record", "alerts", "web"}
    for name in ("stream", "workers"):
        (settings,) = FLINK[name]["volumes"]
        file = DEPLOY / re.findall(r":-\./(.+?)}", settings)[0]
        Settings.model_validate(YAML(typ="safe").load(file.read_text()))


def test_timer_and_cron_call_commands_that_are_there() -> None:
    service = (DEPLOY / "systemd" / "quorum-batch.service").read_text()
    lines = re.findall(r"^ExecStart=\S+/quorum (.+)$", service, re.M)
    cron = (DEPLOY / "cron" / "quorum").read_text()
    lines += re.findall(r"bin/quorum (.+)$", cron, re.M)
    assert len(lines) == 3
    for line in lines:
        check(line.split())


def test_a_wrong_option_would_be_found() -> None:
    with pytest.raises(AssertionError, match="no"):
        check(["batch", "--widow=hourly"])
