"""What a candidate would do to ordinary uploads of the ledger."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from quorum.apps.cli.models_traffic import traffic
from quorum.core.messages import Action, Prediction, Status, Upload, Verdict, now
from quorum.models.detectors import Features, Finding
from quorum.store.ledger import Ledger
from quorum.store.reports.intake import Intake
from quorum.store.reports.values import Notice, Reporter
from tests.apps.web.doubles import POLICY, Words


class Harsh(Words):
    """Takes ``fine`` for bad, and scores nothing that is empty."""

    version = "w2"

    def score(self, batch: Sequence[Features]) -> Sequence[Finding]:
        return [
            Finding.abstained("no text")
            if not one.upload.title
            else Finding.scored(0.95 if "fine 7" in one.upload.title else 0.05)
            for one in batch
        ]


def record(ledger: Ledger, number: int, title: str, action: Action) -> None:
    at = now()
    upload = Upload(id=f"u{number}", uploader="by", title=title, published_at=at)
    # Of another detector: it stays as it was.
    other = Prediction(
        id=f"p{number}", upload_id=upload.id, detector="slow", version="s1", status=Status.SCORED,
        score=0.95 if "slow" in title else 0.0, at=at, digest=upload.digest,
    )  # fmt: skip
    verdict = Verdict(
        id=f"v{number}", upload_id=upload.id, digest=upload.digest, published_at=at, action=action,
        revision=1, policy_version="p@1", rule="default", reasons=("x",), decided_by="policy",
        at=at, latency=0,
    )  # fmt: skip
    ledger.record([upload, other, verdict])


def test_only_visible_uploads_count_and_both_versions_decide_them(tmp_path: Path) -> None:
    with Ledger(f"sqlite:///{tmp_path}/ledger.db", create=True) as ledger:
        assert traffic(ledger, [Words(), Harsh()], POLICY, 100) is None
        for number in range(20):
            record(ledger, number, f"fine {number}", Action.ALLOW)
        record(ledger, 20, "bad", Action.ALLOW)
        record(ledger, 21, "", Action.ALLOW)
        record(ledger, 22, "fine 7, removed", Action.REMOVE)
        record(ledger, 23, "slow", Action.ALLOW)
        made = traffic(ledger, [Words(), Harsh()], POLICY, 100)
        assert made is not None
        assert (made.uploads, made.unscored) == (23, 1)
        # By the word "bad", and by what the other detector said.
        assert made.old["remove"] == 2
        assert (made.removed, made.titles) == (2, ("slow", "fine 7"))
        assert made.ships
        assert (
            "would have removed 2 of your last 23 uploads that nobody complained of" in made.told()
        )
        worse = traffic(ledger, [Harsh(), Words()], POLICY, 2)
        assert worse is not None and worse.uploads == 2
        record(ledger, 24, "fine 7 again", Action.ALLOW)
        record(ledger, 25, "fine 7, reported", Action.ALLOW)
        user = Reporter("user", "somebody", "shop")
        Intake(ledger).take(Notice(reporter=user, upload_id="u25", category="scams-and-fraud"))
        third = traffic(ledger, [Words(), Harsh()], POLICY, 100)
        assert third is not None and (third.uploads, third.removed) == (24, 3)
        assert not third.ships
