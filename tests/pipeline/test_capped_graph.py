"""The removal cap in the whole graph: a detector gone mad cannot empty the platform."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from quorum.core.settings import MediaAccess
from quorum.models.supervision.spec import EnsembleSpec
from quorum.pipeline import graph
from quorum.pipeline.engines import Engine, launch
from quorum.pipeline.streams.open import sink, source
from tests.pipeline.doubles import POLICY, Policy, ensemble, lines, upload
from tests.pipeline.jobs import Streams, fused

CAPPED = POLICY + "caps:\n  total: {removals: 5, per: 1 h}\n"


def test_removals_stop_at_the_cap_and_uploads_keep_flowing(tmp_path: Path) -> None:
    uploads = [upload(f"mad-{index}", script={"alpha": 0.99}) for index in range(40)]
    uploads += [upload(f"calm-{index}") for index in range(10)]
    (tmp_path / "uploads.jsonl").write_bytes(b"\n".join(uploads) + b"\n")
    with launch(
        lambda pipeline: graph.stream(
            pipeline,
            uploads=source(str(tmp_path / "uploads.jsonl"), "uploads"),
            verdicts=sink(str(tmp_path / "verdicts.jsonl"), origin="/test"),
            dead_letters=sink(str(tmp_path / "dead.jsonl"), origin="/test"),
            ensemble=EnsembleSpec(ensemble(), MediaAccess()),
            policy=Policy.from_text(CAPPED),
        ),
        Engine.DIRECT,
        streaming=False,
    ) as result:
        result.wait_until_finish()
    verdicts = lines(tmp_path / "verdicts.jsonl")
    assert len({each["upload_id"] for each in verdicts}) == 50
    assert Counter(each["action"] for each in verdicts) == {"remove": 5, "review": 35, "allow": 10}
    capped = [each for each in verdicts if each["action"] == "review"]
    assert all(each["decided_by"] == "cap" for each in capped)
    assert all("cap" in each["reasons"][0] for each in capped)


#: The spam detector asks for a removal of whatever it scores.
MAD = """
name: mad
deadline: 20 s
retention: 1 h
orphan_wait: 1 min
detectors: {spam: {required: true}}
rules:
  - {name: mad, when: 'score("spam") >= 0.0', action: remove, category: spam, reason: '{spam}'}
caps:
  each_rule: {removals: 4, per: 10 h}
"""


@pytest.mark.slow
@pytest.mark.emulator
@pytest.mark.prism
@pytest.mark.timeout(300)
def test_removals_stop_at_the_cap_on_a_stream(emulator: str, prism: str, tmp_path: Path) -> None:
    policy = tmp_path / "mad.yaml"
    policy.write_text(MAD)
    streams = Streams()
    names = {f"mad-{index}" for index in range(30)}
    streams.publish("uploads", [upload(name, title="A walk along the river") for name in names])
    with fused(streams, tmp_path, "--policy", str(policy)) as job:
        streams.await_verdicts(names, job)
        assert job.stop() == 0, job.log()
    streams.listen()
    actions = {each.upload_id: (each.action.value, each.decided_by) for each in streams.verdicts}
    assert Counter(actions.values()) == {("remove", "policy"): 4, ("review", "cap"): 26}
    assert streams.pull("uploads-stream") == [], "what was capped is given back, too"
