"""What Terraform would make is held against what the commands read and write."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from quorum.pipeline.streams.topics import planned

FOLDER = Path(__file__).parents[2] / "deploy" / "terraform"
TEXT = "".join(path.read_text() for path in sorted(FOLDER.glob("*.tf")))
METADATA = FOLDER.parent / "dataflow" / "metadata.json"

#: What the values below need of Google, which is not asked.
_STAND_IN = "data.google_project.this.number"


def terraform(*words: str) -> str:
    program = shutil.which("terraform")
    if program is None:
        pytest.skip("needs terraform")
    done = subprocess.run([program, *words], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def blocks(kind: str) -> list[str]:
    return re.findall(rf"(?ms)^{kind}\b.*?^}}", TEXT)


def values(folder: Path, **variables: Any) -> dict[str, Any]:
    """The locals as Terraform itself works them out, without any provider."""
    (folder / "terraform").mkdir(parents=True)
    (folder / "dataflow").mkdir()
    shutil.copy(METADATA, folder / "dataflow")
    names = ("jobs", "subscriptions", "guarded", "topics", "reads", "writes", "media", "template")
    text = "\n".join([*blocks("locals"), *blocks("variable")]).replace(_STAND_IN, "7")
    text += "".join(f'\noutput "{name}" {{\n  value = local.{name}\n}}' for name in names)
    (folder / "terraform" / "values.tf").write_text(text)
    (folder / "terraform" / "v.tfvars.json").write_text(json.dumps({"project": "p"} | variables))
    where = f"-chdir={folder / 'terraform'}"
    terraform(where, "init", "-backend=false", "-input=false")
    terraform(where, "plan", "-input=false", "-var-file=v.tfvars.json", "-out=plan")
    planned_values = json.loads(terraform(where, "show", "-json", "plan"))["planned_values"]
    return {name: one["value"] for name, one in planned_values["outputs"].items()}


def plan(*, fused: bool) -> tuple[set[str], dict[str, str]]:
    made = planned("p", "q", fused=fused, apart=True, record=True)
    subscriptions = {
        each.path.rsplit("/q-", 1)[1]: each.topic.rsplit("/q-", 1)[1] for each in made.subscriptions
    }
    return {topic.rsplit("/q-", 1)[1] for topic in made.topics}, subscriptions


def test_the_streams_are_those_of_the_command(tmp_path: Path) -> None:
    made = values(tmp_path)
    topics, subscriptions = plan(fused=False)
    assert set(made["topics"]) == topics
    assert made["subscriptions"] == subscriptions
    assert set(made["guarded"]) == {
        name
        for name, topic in subscriptions.items()
        if topic != "dead-letters" and name != "policies-decide"
    }
    assert "stream" not in made["jobs"]
    assert made["media"] == {}


IMAGE = {"dataflow_image": "image", "dataflow_repository": "projects/p/locations/l/repositories/r"}


def test_with_dataflow_there_are_a_job_an_account_and_its_streams(tmp_path: Path) -> None:
    made = values(tmp_path, media_buckets=["clips"], **IMAGE)
    topics, subscriptions = plan(fused=True)
    assert made["subscriptions"] == subscriptions
    assert set(made["media"]) == {"detect/clips", "stream/clips"}
    for job in made["jobs"].values():
        assert set(job["reads"]) <= set(subscriptions)
        assert set(job["writes"]) <= topics
    assert {one["name"] for one in made["reads"].values()} < set(subscriptions)
    template = json.loads(made["template"])
    assert template["image"] == "image"
    assert template["metadata"] == json.loads(METADATA.read_text())


def test_an_image_without_its_repository_is_refused(tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match="Give dataflow_image and dataflow_repository"):
        values(tmp_path, dataflow_image="image")


def test_the_job_gives_parameters_that_the_template_has() -> None:
    (job,) = [one for one in blocks("resource") if "google_dataflow_flex_template_job" in one]
    block = re.search(r"parameters = merge\(\{(.*?)\n  \}", job, re.S)
    assert block
    given = set(re.findall(r"(?m)^    (\w+) +=", block[1]))
    known = {
        one["name"]: one["isOptional"] for one in json.loads(METADATA.read_text())["parameters"]
    }
    assert given <= set(known)
    assert {name for name, optional in known.items() if not optional} <= given


def test_no_account_may_do_more_than_its_work() -> None:
    roles = set(re.findall(r'"(roles/[\w./]+)"', TEXT))
    assert roles == {
        "roles/artifactregistry.reader",
        "roles/dataflow.worker",
        "roles/pubsub.publisher",
        "roles/pubsub.subscriber",
        "roles/pubsub.viewer",
        "roles/storage.objectAdmin",
        "roles/storage.objectViewer",
    }
    # Of a whole project there is but Dataflow's own; the others are of one thing.
    (project,) = [
        one for one in blocks("resource") if one.startswith('resource "google_project_iam')
    ]
    assert "roles/dataflow.worker" in project
    (admin,) = [one for one in blocks("resource") if "objectAdmin" in one]
    assert "google_storage_bucket.dataflow" in admin


def test_it_is_formatted() -> None:
    terraform("fmt", "-check", "-diff", str(FOLDER))
