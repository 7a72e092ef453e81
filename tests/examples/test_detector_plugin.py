"""The template of a plug-in passes the contract, as its own test says."""

import os
import re
import sys
from pathlib import Path

import pytest

PLUGIN = Path(__file__).parents[2] / "examples" / "detector-plugin"
sys.path.insert(0, str(PLUGIN))

from quorum_scam.detector import ScamDetector  # noqa: E402

from quorum import detectors  # noqa: E402
from quorum.detectors import DetectorContract  # noqa: E402


class TestTemplate(DetectorContract):
    detector = ScamDetector

    @pytest.fixture(autouse=True)
    def found_by_other_processes(self, monkeypatch):
        paths = [str(PLUGIN), str(PLUGIN.parents[1]), os.environ.get("PYTHONPATH", "")]
        monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, paths)))


def test_the_entry_point_names_the_class():
    import tomllib

    told = tomllib.loads((PLUGIN / "pyproject.toml").read_text())
    points = told["project"]["entry-points"]["quorum.detectors"]
    assert points == {ScamDetector.name: f"{ScamDetector.__module__}:{ScamDetector.__name__}"}


def test_the_guide_names_what_is_there():
    guide = (PLUGIN.parents[1] / "docs" / "write-a-detector.md").read_text()
    for path in ("models/huggingface.py", "docs/schemas/prediction.schema.json"):
        assert path in guide
        assert (PLUGIN.parents[1] / path).exists()
    for name in ("Detector", "DetectorContract", "Platt", "open_artifact", "write_artifact"):
        assert re.search(rf"\b{name}\b", guide)
        assert name in detectors.__all__
