"""A client that openapi-python-client generates from ``/openapi.json`` compiles, calls and reads.

``benchmarks/typescript_client.py`` does the same with openapi-generator for TypeScript.
"""

from __future__ import annotations

import importlib
import json
import pkgutil
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("fastapi", reason="needs quorum-moderation[web]")
pytest.importorskip("attrs", reason="needs quorum-moderation[dev]")

from quorum.apps.http.keys import new_key, read_keys
from quorum.apps.web.endpoints import Endpoint, deliveries_of
from quorum.messages import Verdict
from tests.apps.web.doubles import PATIENT
from tests.apps.web.serving import event, serving

#: Packages may have to be installed first, on a loaded machine.
pytestmark = pytest.mark.timeout(400)

#: It runs in an environment of its own: it wants other versions of what we use.
GENERATOR = "openapi-python-client==0.29.1"

Client = tuple[Any, Any]


def generate(description: Path, folder: Path) -> None:
    uv = shutil.which("uv", path=str(Path(sys.executable).parent)) or shutil.which("uv")
    if uv is None:
        pytest.skip("needs uv")
    tool = [uv, "tool", "run", "--quiet", "--from", GENERATOR, "openapi-python-client"]
    try:
        there = subprocess.run([*tool, "--version"], capture_output=True, timeout=150, check=False)
    except subprocess.TimeoutExpired:
        pytest.skip("the registry of Python packages does not answer")
    if there.returncode:
        pytest.skip(f"uv cannot install {GENERATOR}: no registry within reach?")
    options = ["--path", str(description), "--output-path", str(folder), "--meta", "none"]
    made = subprocess.run(
        [*tool, "generate", *options, "--fail-on-warning"],
        capture_output=True,
        text=True,
        timeout=150,
        check=False,
    )
    assert made.returncode == 0, made.stdout + made.stderr


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    """The generated package, and a client of a service that has one key."""
    folder = tmp_path_factory.mktemp("generated")
    secret, line = new_key("shop", frozenset({"moderate", "read"}))
    (folder / "keys").write_text(line)
    with serving(keys=read_keys(folder / "keys"), policy=PATIENT) as service:
        described = folder / "openapi.json"
        described.write_text(json.dumps(service.get("/openapi.json").json()))
        generate(described, folder / "quorum_generated")
        sys.path.insert(0, str(folder))
        try:
            package = importlib.import_module("quorum_generated")
            for module in pkgutil.walk_packages(package.__path__, "quorum_generated."):
                importlib.import_module(module.name)
            address = str(service.base_url).rstrip("/")
            yield package, package.AuthenticatedClient(base_url=address, token=secret)
        finally:
            sys.path.remove(str(folder))
            for name in [one for one in sys.modules if one.startswith("quorum_generated")]:
                del sys.modules[name]


def test_it_reads_a_verdict_and_what_it_rests_on(client: Client) -> None:
    package, service = client
    models, api = package.models, package.api
    sent = models.Upload.from_dict(event(title="bad"))
    made = api.moderate.moderate.sync(client=service, body=sent)
    assert isinstance(made, models.ModeratedAnswer)
    verdict = made.verdict
    assert (verdict.upload_id, verdict.action) == ("u1", models.Action.REMOVE)
    assert verdict.at.tzinfo is not None
    used = {one.detector: one for one in verdict.predictions}
    assert isinstance(used["words"], models.UsedPrediction)
    assert (used["words"].score, used["words"].status) == (0.95, models.Status.SCORED)
    assert {one.detector for one in made.predictions} == {"words", "slow"}

    known = api.read.get_verdict.sync("u1", client=service)
    assert isinstance(known, models.CaseAnswer)
    assert known.verdict.to_dict() == verdict.to_dict()

    batch = models.UploadBatch([sent])
    results = api.moderate.moderate_batch.sync(client=service, body=batch).results
    assert [one.verdict.id for one in results] == [verdict.id]


def test_it_reads_a_problem(client: Client) -> None:
    package, service = client
    models, api = package.models, package.api
    sent = models.Upload.from_dict(event())
    sent.id = ""
    refused = api.moderate.moderate.sync(client=service, body=sent)
    assert isinstance(refused, models.ProblemAnswer)
    assert refused.status == 422
    assert refused.detail.startswith("not a valid upload: id")
    form = models.UploadForm(upload=json.dumps(event()), media=package.types.File(b"x", "x.mp4"))
    refused = api.moderate.moderate_media.sync(client=service, body=form)
    assert (refused.status, refused.title) == (415, "Unsupported Media Type")
    gone = api.read.get_verdict.sync("nobody/knows", client=service)
    assert (gone.status, gone.title) == (404, "Not Found")
    stranger = package.AuthenticatedClient(base_url=service._base_url, token="qm_wrong")
    unknown = api.read.get_models.sync(client=stranger)
    assert isinstance(unknown, models.ProblemAnswer) and unknown.status == 401
    anyone = package.Client(base_url=service._base_url)
    assert api.operate.health.sync(client=anyone).status == "ok"


def test_it_reads_a_webhook(client: Client) -> None:
    package, service = client
    models = package.models
    sent = models.Upload.from_dict(event(2, title="bad"))
    made = package.api.moderate.moderate.sync(client=service, body=sent)
    verdict = Verdict.from_bytes(json.dumps(made.verdict.to_dict()).encode())
    (delivery,) = deliveries_of(verdict, [Endpoint("shop", "https://shop.example.org", "s")])
    body = models.WebhookBody.from_dict(json.loads(delivery.body))
    assert body.data.to_dict() == made.verdict.to_dict()
    assert (body.type_, body.timestamp) == ("verdict", made.verdict.at)
