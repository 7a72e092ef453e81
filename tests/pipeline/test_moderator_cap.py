"""The removal cap in the process of a request or a batch."""

from __future__ import annotations

from collections import Counter

from quorum.core.messages import Upload
from quorum.models.ensemble import Ensemble
from quorum.pipeline.moderator import Moderator
from tests.pipeline.doubles import POLICY, Policy, Scripted, upload

CAPPED = POLICY + "caps:\n  total: {removals: 3, per: 1 h}\n"


def test_removals_stop_at_the_cap_over_several_calls() -> None:
    ensemble = Ensemble.of([Scripted("alpha"), Scripted("beta")])
    moderator = Moderator(policy=Policy.from_text(CAPPED), ensemble=ensemble)
    uploads = [
        Upload.from_bytes(upload(f"mad-{number}", script={"alpha": 0.99})) for number in range(10)
    ]
    made = [*moderator.moderate(uploads[:5]), *moderator.moderate(uploads[5:])]
    assert Counter(one.verdict.action.value for one in made) == {"remove": 3, "review": 7}
    assert all(one.verdict.decided_by == "cap" for one in made if one.verdict.action == "review")
