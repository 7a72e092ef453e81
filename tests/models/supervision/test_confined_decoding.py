"""A file that takes its decoder over reaches nothing, and costs its own upload alone a reason."""

from __future__ import annotations

import os
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from quorum.core.messages import Prediction, Status, Upload, now
from quorum.core.settings import DetectorSettings, MediaAccess, WorkerSettings
from quorum.models.configured import ConfiguredDetector
from quorum.models.detectors import Detector, Example, Feature, Features, Finding
from quorum.models.features import decoders
from quorum.models.media.sandbox import protection
from quorum.models.media.template import Template
from quorum.models.supervision.shared import start_supervisor
from quorum.models.supervision.spec import EnsembleSpec
from tests.models.features.media_files import video
from tests.models.supervision.test_supervisor import score

if not (protection().no_network and protection().no_writing):
    pytest.skip(str(protection()), allow_module_level=True)


class Looking(Detector):
    """A detector of the user's that needs the network itself."""

    name = "looking"
    version = "1"
    needs = frozenset({Feature.FRAMES})

    def __init__(self, port: int) -> None:
        self._port = port

    def score(self, batch: Sequence[Features]) -> Sequence[Finding]:
        with socket.create_connection(("127.0.0.1", self._port), 5.0):
            pass
        return [
            Finding.failed(one.absent[Feature.FRAMES])
            if one.frames is None
            else Finding.scored(0.5)
            for one in batch
        ]

    @classmethod
    def examples(cls) -> Sequence[Example]:
        return []


@dataclass(frozen=True)
class TakenOver:
    """Loads the detector, and puts a hostile decoder in the place of the true one."""

    port: int
    elsewhere: str

    def __call__(self) -> Detector:
        os.environ["QUORUM_TEST_PORT"] = str(self.port)
        os.environ["QUORUM_TEST_ELSEWHERE"] = self.elsewhere
        decoders.template.close()
        decoders.template = Template("tests.models.supervision.hostile_office")
        decoders.template.start()
        return Looking(self.port)


def test_a_hostile_decoder_costs_its_own_upload_a_reason(tmp_path: Path) -> None:
    for name in ("good.mp4", "hostile.mp4", "crash.mp4"):
        video(tmp_path / name)
    names = ["hostile.mp4", "crash.mp4", *["good.mp4"] * 10]
    uploads = [
        Upload(id=f"u{n}", uploader="u", media=(tmp_path / name).as_uri(), published_at=now())
        for n, name in enumerate(names)
    ]
    with socket.create_server(("127.0.0.1", 0)) as server:
        load = TakenOver(server.getsockname()[1], str(tmp_path / "written"))
        detectors = (ConfiguredDetector("looking", load, DetectorSettings(timeout=20.0)),)
        workers = WorkerSettings(memory=512 * 1024 * 1024, processes=1)
        access = MediaAccess(folders=(str(tmp_path),))
        supervisor = start_supervisor(EnsembleSpec(detectors, access, workers=workers))
        try:
            found: list[Prediction] = [
                one["looking"] for one in score(supervisor, uploads, 60.0).values()
            ]
        finally:
            supervisor.close()
    assert found[0].reason == "it got []"
    assert "its decoder crashed (SIGSEGV)" in str(found[1].reason)
    assert [one.status for one in found[2:]] == [Status.SCORED] * 10
    assert not (tmp_path / "written").exists()
