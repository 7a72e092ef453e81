"""An installed detector that hangs in C code as an upload's title says, for processes of a test."""

from __future__ import annotations

import os
from pathlib import Path

_DETECTOR = '''
"""Hangs as the title says.

sleep: in C code, and lets other threads run. hold: in C code, and keeps the interpreter's lock.
torch: in a library of C++, which takes and gives the lock again and again. loop: in Python.
"""

import ctypes

from quorum.detectors import Detector, Feature, Finding


class Hanging(Detector):
    name = "hanging"
    version = "hanging-1"
    needs = frozenset({Feature.TEXT})

    def score(self, batch):
        for features in batch:
            if "sleep" in features.upload.title:
                ctypes.CDLL(None).sleep(900)
            if "hold" in features.upload.title:
                ctypes.PyDLL(None).sleep(5)
            if "torch" in features.upload.title:
                import torch

                made = torch.ones(64, 64)
                while True:
                    made = (made @ made).clamp(0, 1)
            while "loop" in features.upload.title:
                pass
        return [Finding.scored(0.1) for _ in batch]

    @classmethod
    def examples(cls):
        return []
'''

_POLICY = """
name: hanging
deadline: {deadline} s
retention: 1 h
orphan_wait: 10 min
detectors:
  hanging: {{required: true, missing: review, failed: review, abstained: ignore}}
rules:
  - {{name: sure, when: score("hanging") >= 0.9, action: remove, category: spam, reason: Sure.}}
"""


def install_hanging(folder: Path, *, timeout: float = 1.0, deadline: float = 30.0) -> list[str]:
    """Write the detector as an installed package, its settings and its policy.

    Returns:
        The options of a command that runs it; it is found with ``hanging_environment``.
    """
    told = folder / "hanging-1.0.dist-info"
    told.mkdir(parents=True)
    (folder / "hanging_detector.py").write_text(_DETECTOR)
    (told / "METADATA").write_text("Metadata-Version: 2.1\nName: hanging\nVersion: 1.0\n")
    (told / "entry_points.txt").write_text(
        "[quorum.detectors]\nhanging = hanging_detector:Hanging\n"
    )
    settings, policy = folder / "settings.yaml", folder / "policy.yaml"
    settings.write_text(f"detectors:\n  hanging: {{timeout: {timeout:g}}}\n")
    policy.write_text(_POLICY.format(deadline=f"{deadline:g}"))
    return ["--settings", str(settings), "--policy", str(policy)]


def hanging_environment(folder: Path) -> dict[str, str]:
    """The environment of a process that finds the detector."""
    before = os.environ.get("PYTHONPATH", "")
    root = str(Path(__file__).resolve().parent.parent)
    return {**os.environ, "PYTHONPATH": os.pathsep.join([str(folder), root, before])}
