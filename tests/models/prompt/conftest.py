from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from quorum.core.settings import DetectorSettings, Settings
from quorum.models.prompt import endpoint
from quorum.models.prompt.detector import PolicyPromptDetector
from tests.models.prompt.chat_server import ChatServer, chat_server

Make = Callable[..., PolicyPromptDetector]


@pytest.fixture
def server() -> Iterator[ChatServer]:
    with chat_server() as made:
        yield made


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """The second and the third try follow soon."""
    monkeypatch.setattr(endpoint, "_WAITS", (0.02, 0.05))


def written(folder: Path, address: str, **more: Any) -> Settings:
    """Settings with the detector ``harass``, described by files in a folder."""
    (folder / "policy.md").write_text("Nobody insults {anyone}.\n\n- no threats\n")
    told = {
        "task": "policy-prompt",
        "endpoint": f"{address}/v1",
        "model": "tiny",
        "policy": "policy.md",
        "labels": {"insult": "harass/insult", "threat": "harass/threat"},
        "seconds": 2,
    } | more
    with (folder / "harass.yaml").open("w") as file:
        YAML(typ="safe", pure=True).dump(told, file)
    return Settings(
        detectors={"harass": DetectorSettings(model=f"file:{folder / 'harass.yaml'}")},
        endpoints=(address,),
    )


@pytest.fixture
def make(tmp_path: Path, server: ChatServer) -> Iterator[Make]:
    made: list[PolicyPromptDetector] = []

    def new(**more: Any) -> PolicyPromptDetector:
        made.append(PolicyPromptDetector.of("harass", written(tmp_path, server.address, **more)))
        return made[-1]

    yield new
    for one in made:
        one.close()
