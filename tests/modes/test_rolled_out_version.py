"""Two versions of a detector: stream, web and in process ask the one of the uploader alone."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

pytest.importorskip("fastapi", reason="needs quorum-moderation[web]")

import httpx

from quorum.aggregator.policy.policy import Policy
from quorum.apps.cli.options import PolicyOptions
from quorum.core.errors import ConfigurationError, PolicyError
from quorum.core.messages import Upload
from quorum.core.settings import DetectorSettings, Settings
from quorum.models.configured import ConfiguredDetector
from quorum.models.ensemble import Ensemble
from quorum.models.installed import load_detector
from quorum.pipeline.detection import Times
from quorum.pipeline.moderator import Moderator, ensemble_of
from quorum.pipeline.policies.live import watcher_of
from tests.apps.web.serving import serving
from tests.pipeline.doubles import POLICY, Load, Scripted, policy, upload
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


def test_a_released_policy_moves_and_stops_the_share_of_a_running_job() -> None:
    released: Any = SimpleNamespace(current=lambda: ROLLED)
    times = Times.of(policy(), released)
    running = {"alpha": None, "alpha-next": "alpha", "beta": None}
    uploads = [Upload.model_validate_json(message) for message in MESSAGES]
    assert {one for each in uploads for one in times.left_out(each, running)} == {
        "alpha",
        "alpha-next",
    }
    released.current = policy
    assert {times.left_out(each, running) for each in uploads} == {frozenset({"alpha-next"})}


def test_a_version_is_a_detector_under_another_name_and_must_run(tmp_path: Path) -> None:
    rollout = Policy.from_text(
        """
name: mine
detectors: {copyright: {rollout: {to: copyright-next, percent: 5}}}
""",
        "mine.yaml",
    )
    version = DetectorSettings(version_of="copyright")
    rolled = Settings(detectors={"copyright": DetectorSettings(), "copyright-next": version})
    assert {one.name for one in ensemble_of(rolled, [rollout]).detectors} == set(rolled.detectors)
    made = load_detector("copyright-next", rolled)
    assert (made.name, type(made).name) == ("copyright-next", "copyright")
    alone = Settings(detectors={"copyright": DetectorSettings()})
    with pytest.raises(PolicyError, match=r"mine\.yaml:3:.*`copyright-next` does not run here"):
        ensemble_of(alone, [rollout])
    # Nor is it followed while a job runs.
    file = tmp_path / "released.yaml"
    file.write_text(rollout.text)
    live = PolicyOptions(policies=str(file)).live(alone, policy())
    assert live is not None
    assert "`copyright-next` does not run here" in str(live.problem())
    assert live.current() == policy()
    watcher_of(live).close()
    for wrong, why in (
        ({"next": DetectorSettings(version_of="copyrigt")}, "did you mean copyright"),
        ({"spam": version}, "needs a name that no installed detector has"),
    ):
        with pytest.raises(ConfigurationError, match=why):
            ensemble_of(Settings(detectors=wrong), [])
