"""Two versions of a detector: stream, web and in process ask the one of the uploader alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("fastapi", reason="needs quorum-moderation[web]")

import httpx

from quorum.aggregator.policy.policy import Policy
from quorum.core.errors import ConfigurationError, PolicyError
from quorum.core.messages import Upload
from quorum.core.settings import DetectorSettings, Settings
from quorum.models.configured import ConfiguredDetector
from quorum.models.ensemble import Ensemble
from quorum.models.installed import load_detector
from quorum.pipeline.moderator import Moderator, ensemble_of
from tests.apps.web.serving import serving
from tests.pipeline.doubles import POLICY, Load, Scripted, upload
from tests.pipeline.test_graph import Run

ROLLED = Policy.from_text(
    POLICY.replace("alpha: {", "alpha: {rollout: {to: alpha-next, percent: 50, salt: s}, ", 1)
)
NAMES = ("alpha", "alpha-next", "beta")
#: The former version removes everything, the next one nothing.
MESSAGES = [
    upload(f"u{number}", uploader=f"by-{number}", script={"alpha": 0.95, "alpha-next": 0.1})
    for number in range(8)
]


def told(verdict: dict[str, Any]) -> tuple[Any, ...]:
    used = [one["detector"] for one in verdict["predictions"]]
    return (verdict["id"], verdict["action"], verdict["rollout"], verdict["missing"], used)


def test_each_upload_is_asked_of_the_version_of_its_uploader(tmp_path: Path) -> None:
    detectors = tuple(ConfiguredDetector(name, Load(name, -1)) for name in NAMES)
    streamed = Run(tmp_path, MESSAGES, detectors=detectors, rules=ROLLED).verdicts
    uploads = [Upload.model_validate_json(message) for message in MESSAGES]
    sides = set()
    for one in uploads:
        asked = ROLLED.asks(lambda one=one: one)["alpha"]
        taken = asked == "alpha-next"
        sides.add(taken)
        _, action, rollout, missing, used = told(streamed[one.id])
        assert action == ("allow" if taken else "remove")
        assert rollout == {"alpha-next": "in" if taken else "out"}
        assert used == sorted([asked, "beta"])
        assert not missing
    assert sides == {True, False}
    loaded = [Scripted(name) for name in NAMES]
    with Moderator(policy=ROLLED, ensemble=Ensemble.of(loaded)) as moderator:
        for made in moderator.moderate(uploads):
            verdict = made.verdict.model_dump(mode="json")
            assert told(verdict)[:3] == told(streamed[verdict["upload_id"]])[:3]
            assert len(made.predictions) == 2
    with serving(*loaded, policy=ROLLED) as client:
        for message, one in zip(MESSAGES, uploads, strict=True):
            answer = client.post(
                "/v1/moderate", content=message, headers={"content-type": "application/json"}
            )
            assert answer.status_code == httpx.codes.OK
            assert told(answer.json()["verdict"])[:3] == told(streamed[one.id])[:3]


def test_a_version_is_a_detector_under_another_name_and_must_run() -> None:
    policy = Policy.from_text(
        """
name: mine
detectors: {copyright: {rollout: {to: copyright-next, percent: 5}}}
""",
        "mine.yaml",
    )
    version = DetectorSettings(version_of="copyright")
    rolled = Settings(detectors={"copyright": DetectorSettings(), "copyright-next": version})
    assert {one.name for one in ensemble_of(rolled, [policy]).detectors} == set(rolled.detectors)
    made = load_detector("copyright-next", rolled)
    assert (made.name, type(made).name) == ("copyright-next", "copyright")
    alone = Settings(detectors={"copyright": DetectorSettings()})
    with pytest.raises(PolicyError, match=r"mine\.yaml:3:.*`copyright-next` does not run here"):
        ensemble_of(alone, [policy])
    for wrong, why in (
        ({"next": DetectorSettings(version_of="copyrigt")}, "did you mean copyright"),
        ({"spam": version}, "needs a name that no installed detector has"),
    ):
        with pytest.raises(ConfigurationError, match=why):
            ensemble_of(Settings(detectors=wrong), [])
