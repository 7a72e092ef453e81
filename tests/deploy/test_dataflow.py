"""The flex template: its parameters are options of ``quorum stream``, and its launcher calls it."""

from __future__ import annotations

import importlib.util
import json
import re
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
import typer

from quorum.apps.cli.stream import app
from quorum.pipeline import job
from quorum.pipeline.engines import Engine, pipeline_options

ROOT = Path(__file__).parents[2]
METADATA = json.loads((ROOT / "deploy" / "dataflow" / "metadata.json").read_text())
DOCKERFILE = (ROOT / "Dockerfile").read_text()
OPTIONS = {name: o for o in typer.main.get_command(app).params for name in o.opts}

GIVEN = [
    "--runner=DataflowRunner",
    "--project=p",
    "--region=europe-west1",
    "--temp_location=gs://b/t",
    "--template_location=gs://b/job",
    "--uploads=projects/p/subscriptions/u",
    "--verdicts=projects/p/topics/v",
    "--dead_letters=projects/p/topics/d",
    "--reviews=",
    "--policy=strict",
]


def launcher() -> ModuleType:
    path = ROOT / "deploy" / "dataflow" / "launch.py"
    spec = importlib.util.spec_from_file_location("quorum_launch", path)
    assert spec and spec.loader
    made = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(made)
    return made


def option(name: str) -> str:
    return f"--{name.replace('_', '-')}"


@pytest.mark.parametrize("parameter", METADATA["parameters"], ids=lambda one: one["name"])
def test_each_parameter_is_an_option(parameter: dict[str, Any]) -> None:
    found = OPTIONS[option(parameter["name"])]
    assert parameter["isOptional"] is not found.required
    assert parameter["label"] and parameter["helpText"]
    known = {"name", "label", "helpText", "isOptional", "regexes", "paramType"}
    assert set(parameter) <= known
    for regex in parameter.get("regexes", ()):
        re.compile(regex)
    assert re.fullmatch(r"[a-z][a-z_]*", parameter["name"])


def test_all_that_the_command_needs_is_a_parameter() -> None:
    required = {name for name, one in OPTIONS.items() if one.required and name.startswith("--")}
    assert required == {
        option(one["name"]) for one in METADATA["parameters"] if not one["isOptional"]
    }
    kinds = {one["name"]: one.get("paramType") for one in METADATA["parameters"]}
    assert kinds["uploads"] == "PUBSUB_SUBSCRIPTION"
    assert kinds["verdicts"] == "PUBSUB_TOPIC"


def test_the_launcher_parts_ours_from_beams() -> None:
    assert launcher().words(GIVEN) == [
        "stream",
        "--runner=dataflow",
        "--uploads=projects/p/subscriptions/u",
        "--verdicts=projects/p/topics/v",
        "--dead-letters=projects/p/topics/d",
        "--policy=strict",
        "--",
        "--project=p",
        "--region=europe-west1",
        "--temp_location=gs://b/t",
        "--template_location=gs://b/job",
    ]


def test_workers_of_an_image_need_no_package() -> None:
    extra = ["--project=p", "--region=r", "--temp_location=gs://b/t"]
    with_package = pipeline_options(Engine.DATAFLOW, streaming=True, extra=extra)
    assert with_package.get_all_options()["setup_file"] == "./setup.py"
    extra.append("--sdk_container_image=image")
    in_image = pipeline_options(Engine.DATAFLOW, streaming=True, extra=extra)
    assert in_image.get_all_options()["setup_file"] is None


def test_a_template_is_written_and_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    class Launch:
        def __enter__(self) -> SimpleNamespace:
            return SimpleNamespace(has_job=False)

        def __exit__(self, *_: object) -> None:
            pass

    monkeypatch.setattr(job, "launch", lambda *_, **__: Launch())
    job.run_job(lambda _: None, Engine.DATAFLOW, sources=[])


def test_the_image_starts_both_and_has_the_locks_beam() -> None:
    lock = (ROOT / "requirements.lock").read_text()
    beam = re.search(r"^apache-beam==(\S+)", lock, re.M)
    assert beam
    assert f"ARG BEAM={beam[1]}\n" in DOCKERFILE
    target = DOCKERFILE.split("FROM run AS dataflow\n")[1].split("\nFROM ")[0]
    assert "COPY deploy/dataflow /template" in target
    assert "FLEX_TEMPLATE_PYTHON_PY_FILE=/template/launch.py" in target
    ignored = (ROOT / ".dockerignore").read_text().split()
    copied = re.findall(r"^COPY (?!--from)(?:--chown=\S+ )?(.+) \S+$", DOCKERFILE, re.M)
    for name in " ".join(copied).split():
        assert (ROOT / name).exists()
        assert f"!{name}" in ignored, f"{name} is not given to the build"
