"""The files of the guide for policies in words are read as they stand."""

from __future__ import annotations

import re
from pathlib import Path

from quorum.aggregator.policy.policy import Policy
from quorum.core.settings import DetectorSettings, load_settings
from quorum.models.prompt.detector import PolicyPromptDetector

PAGE = Path(__file__).parents[3] / "docs" / "write-a-detector.md"


def test_the_files_of_the_guide_are_read(tmp_path: Path) -> None:
    section = PAGE.read_text(encoding="utf-8").split("\n## A policy in words\n")[1]
    words, described, chosen, policy = re.findall(r"```(?:markdown|yaml)\n(.*?)```", section, re.S)
    (tmp_path / "harassment.md").write_text(words)
    (tmp_path / "harassment.yaml").write_text(described)
    (tmp_path / "settings.yaml").write_text(chosen)
    settings = load_settings(tmp_path / "settings.yaml")
    assert settings.cascade is True
    assert (settings.detectors or {})["harassment"].model == "file:harassment.yaml"
    here = DetectorSettings(model=f"file:{tmp_path / 'harassment.yaml'}")
    detector = PolicyPromptDetector.of(
        "harassment", settings.model_copy(update={"detectors": {"harassment": here}})
    )
    assert detector.recipe.labels == {
        "insult": "harassment/insult",
        "pester": "harassment/pester",
    }
    detector.close()
    rules = Policy.from_text(policy)
    assert set(rules.detectors) == {"spam", "violence", "harassment"}
