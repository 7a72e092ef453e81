"""A model is asked about the uncertain alone, in workers, and its cost is in the metrics."""

from __future__ import annotations

import re
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import pytest

from quorum.aggregator.policy.policy import Policy
from quorum.core.messages import NOT_ASKED, Status, Upload
from quorum.core.settings import Settings, WorkerSettings
from quorum.models.detectors import Detector, Example, Feature, Features, Finding
from quorum.models.ensemble import Ensemble
from quorum.models.prompt.detector import PolicyPromptDetector
from quorum.models.supervision.shared import start_supervisor
from quorum.pipeline.moderator import Moderator, ensemble_of
from tests.models.prompt.chat_server import ChatServer, judged
from tests.models.prompt.conftest import written

POLICY = Policy.from_text(
    """
name: uncertain
deadline: 20 s
retention: 1 h
orphan_wait: 1 min
quorum: 1
detectors:
  guess: {required: true, missing: review, failed: review, abstained: ignore}
  harass: {required: false, missing: ignore, failed: ignore, abstained: ignore}
rules:
  - name: surely
    when: score("guess") >= 0.95
    action: remove
    category: cyber-violence
    reason: Surely.
  - name: judged
    when: score("guess") >= 0.3 && score("harass") >= 0.8
    action: remove
    category: cyber-violence
    reason: Judged by the policy ({harass}).
  - name: not-judged
    when: score("guess") >= 0.3 && status("harass") != "scored"
    action: review
    category: cyber-violence
    reason: Not judged.
"""
)


class Guess(Detector):
    """A quick guess: the number in the title."""

    name = "guess"
    version = "1"
    needs = frozenset({Feature.TEXT})

    def score(self, batch: Sequence[Features]) -> Sequence[Finding]:
        return [Finding.scored(float(one.upload.title.split()[0])) for one in batch]

    @classmethod
    def examples(cls) -> Sequence[Example]:
        return ()


def upload(title: str) -> Upload:
    at = datetime(2026, 1, 1, tzinfo=UTC)
    return Upload(id=title, uploader="x", title=title, published_at=at)


def test_a_cascade_asks_about_the_uncertain_alone(tmp_path: Path, server: ChatServer) -> None:
    server.reply = lambda asked: (
        judged("insult", 0.9, ("bad",)) if "bad" in asked["messages"][1]["content"] else judged()
    )
    settings = written(tmp_path, server.address).model_copy(update={"cascade": True})
    detector = PolicyPromptDetector.of("harass", settings)
    ensemble = Ensemble.of([Guess(), detector], settings)
    assert [one.name for one in ensemble.last] == ["harass"]  # though it needs text alone
    titles = [*(f"0.1 fine {number}" for number in range(8)), "0.5 fine", "0.6 bad", "0.97 bad"]
    with Moderator(settings, POLICY, ensemble) as moderator:
        made = moderator.moderate([upload(title) for title in titles])
    assert len(server.requests) == 2
    assert [one.verdict.action.value for one in made[7:]] == ["allow", "allow", "remove", "remove"]
    (skipped,) = [one for one in made[0].predictions if one.detector == "harass"]
    assert (skipped.reason or "").startswith(NOT_ASKED)
    assert skipped.usage is None
    (asked,) = [one for one in made[9].predictions if one.detector == "harass"]
    assert asked.usage is not None
    assert asked.usage.calls == 1


class Look(Guess):
    """The same guess from frames, and so of the second stage."""

    name = "look"
    needs = frozenset({Feature.TEXT, Feature.FRAMES})


def test_the_second_stage_is_heard_before_the_model_is_asked(
    tmp_path: Path, server: ChatServer
) -> None:
    text = POLICY.text.replace("guess", "look").replace(
        "detectors:\n", "detectors:\n  guess: {required: true, missing: review}\n"
    )
    settings = written(tmp_path, server.address).model_copy(update={"cascade": True})
    detector = PolicyPromptDetector.of("harass", settings)
    ensemble = Ensemble.of([Guess(), Look(), detector], settings)
    names = [[one.name for one in stage] for stage in (ensemble.first, ensemble.second)]
    assert (names, ensemble.last[0].name) == ([["guess"], ["look"]], "harass")
    with Moderator(settings, Policy.from_text(text), ensemble) as moderator:
        made = moderator.moderate([upload(title) for title in ("0.1 fine", "0.5 fine", "0.2 fine")])
    assert len(server.requests) == 1
    skipped = [
        (one.reason or "").startswith(NOT_ASKED)
        for moderated in made
        for one in moderated.predictions
        if one.detector == "harass"
    ]
    assert skipped == [True, False, True]


def test_workers_outlive_a_server_that_hangs(tmp_path: Path, server: ChatServer) -> None:
    def reply(asked: dict[str, list[dict[str, str]]]) -> str:
        if "hangs" in asked["messages"][1]["content"]:
            time.sleep(6)
        return judged()

    server.reply = reply
    settings = Settings(
        detectors=written(tmp_path, server.address, seconds=1).detectors,
        endpoints=(server.address,),
        workers=WorkerSettings(processes=2),
    )
    supervisor = start_supervisor(ensemble_of(settings, (POLICY,)))
    try:
        assert not server.requests  # a start asks nobody
        titles = ["quick", "hangs", *(f"more {number}" for number in range(4))]
        scored = supervisor.score([upload(title) for title in titles], time.monotonic() + 20)
        states = [one.status for (one,) in scored]
        assert states.count(Status.SCORED) == 5
        assert states[1] is Status.FAILED
        assert "in time" in (scored[1][0].reason or "")
        before = len(server.requests)
        again = supervisor.score([upload("quick")], time.monotonic() + 20)
        assert len(server.requests) == before
        usage = again[0][0].usage
        assert usage is not None
        assert usage.cached == 1
        assert supervisor.problem() is None
    finally:
        supervisor.close()


def test_the_cost_is_in_the_metrics(tmp_path: Path, server: ChatServer) -> None:
    pytest.importorskip("fastapi", reason="needs quorum-moderation[web]")
    from tests.apps.web.serving import event, serving

    settings = written(tmp_path, server.address)
    detector = PolicyPromptDetector.of("harass", settings)
    name = re.compile(r'^(quorum_endpoint_\w+)_total\{detector="harass"\} (\S+)', re.M)
    with serving(Guess(), detector, settings=settings, policy=POLICY) as client:
        before = dict(name.findall(client.get("/metrics").text))
        for _ in range(2):
            assert client.post("/v1/moderate", json=event(title="0.5 fine")).status_code == 200
        after = dict(name.findall(client.get("/metrics").text))
    added = {one: float(value) - float(before.get(one, 0)) for one, value in after.items()}
    assert added["quorum_endpoint_calls"] == 1
    assert added["quorum_endpoint_tokens"] == 100
    assert added["quorum_endpoint_cached"] == 1
    assert added["quorum_endpoint_seconds"] > 0
