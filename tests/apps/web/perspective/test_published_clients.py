"""The clients that Perspective's users have, published by others, against ``quorum serve``."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("fastapi", reason="needs quorum-moderation[web]")

from quorum.apps.http.keys import new_key, read_keys
from tests.apps.web.perspective.detectors import POLICY, Spam
from tests.apps.web.serving import serving

SCRIPT = Path(__file__).parent / "comments.js"
PACKAGES = ("perspective-api-client@3.1.0", "googleapis-common@9")


@pytest.fixture
def service(tmp_path: Path) -> Iterator[tuple[str, str]]:
    secret, line = new_key("shop", frozenset({"moderate"}))
    (tmp_path / "keys").write_text(line)
    with serving(Spam(), policy=POLICY, keys=read_keys(tmp_path / "keys")) as client:
        yield str(client.base_url).rstrip("/"), secret


def test_google_api_python_client(service: tuple[str, str]) -> None:
    """As in Perspective's sample, with the address of the discovery document changed."""
    discovery = pytest.importorskip("googleapiclient.discovery")
    from googleapiclient.errors import HttpError

    address, key = service
    client = discovery.build(
        "commentanalyzer",
        "v1alpha1",
        developerKey=key,
        discoveryServiceUrl=f"{address}/$discovery/rest?version=v1alpha1",
        static_discovery=False,
    )
    body: dict[str, Any] = {
        "comment": {"text": "friendly greetings, and something bad, from python"},
        "requestedAttributes": {"SPAM": {}},
        "languages": ["en"],
        "clientToken": "t",
    }
    answer = client.comments().analyze(body=body).execute()
    assert answer["attributeScores"]["SPAM"]["summaryScore"]["value"] == 0.95
    assert (answer["languages"], answer["clientToken"]) == (["en"], "t")
    with pytest.raises(HttpError) as refused:
        client.comments().analyze(body=body | {"languages": ["de"]}).execute()
    assert refused.value.status_code == 400
    assert "LANGUAGE_NOT_SUPPORTED_BY_ATTRIBUTE" in str(refused.value)
    assert refused.value.reason == "Attribute SPAM does not support request languages: de"
    with pytest.raises(HttpError) as suggested:
        client.comments().suggestscore(body={"comment": {"text": "x"}}).execute()
    assert suggested.value.status_code == 400


def _modules(cache: Path) -> Path:
    """The folder with the Node clients; they are installed at the first run."""
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is None or npm is None:
        pytest.skip("needs node and npm")
    modules = cache / "node_modules"
    if not all((modules / one.partition("@")[0]).is_dir() for one in PACKAGES):
        command = [npm, "install", "--no-audit", "--no-fund", "--ignore-scripts", "--prefix"]
        try:
            made = subprocess.run(
                [*command, str(cache), *PACKAGES], capture_output=True, timeout=60, check=False
            )
        except subprocess.TimeoutExpired:
            pytest.skip("npm's registry does not answer")
        if made.returncode:
            pytest.skip("npm cannot install the clients: no registry within reach?")
    return modules


def test_node_clients(service: tuple[str, str], request: pytest.FixtureRequest) -> None:
    address, key = service
    modules = _modules(request.config.cache.mkdir("perspective-clients"))  # type: ignore[union-attr]
    command = ["node", str(SCRIPT), str(modules), address, key]
    run = subprocess.run(command, capture_output=True, timeout=60, check=False)
    assert run.returncode == 0, run.stderr.decode()
    made = json.loads(run.stdout)
    client, google = made["client"], made["google"]
    assert client["good"]["attributeScores"]["SPAM"]["summaryScore"]["value"] == 0.05
    assert client["bad"]["attributeScores"]["SPAM"]["summaryScore"]["value"] == 0.95
    assert client["unknown"] == "Unknown requested attribute: TOXICITY"
    assert client["key"] == "API key not valid. Please pass a valid API key."
    assert google["attributeScores"]["SPAM"]["summaryScore"] == {
        "value": 0.95,
        "type": "PROBABILITY",
    }
