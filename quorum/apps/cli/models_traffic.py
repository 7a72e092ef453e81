"""What a new model would do to ordinary uploads: those of the ledger that nobody complained of."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from quorum.core.messages import Action, Upload, now

if TYPE_CHECKING:
    from quorum.aggregator.policy.policy import Policy
    from quorum.models.detectors import Detector, Finding
    from quorum.models.training.dataset import Labelled
    from quorum.store.ledger import Ledger, LedgerCase

__all__ = ["Traffic", "traffic"]

_PAGE = 500
#: Titles that are shown.
_SHOWN = 5


@dataclass(frozen=True, slots=True)
class Traffic:
    """What two models do to the last visible uploads.

    Attributes:
        uploads: How many were decided again.
        unscored: How many of them the new model did not score.
        old: Uploads by the action with the version in use.
        new: Uploads by the action with the candidate.
        titles: Some titles that the candidate would have removed.
    """

    uploads: int
    unscored: int
    old: dict[str, int]
    new: dict[str, int]
    titles: tuple[str, ...]

    @property
    def removed(self) -> int:
        """Uploads that the candidate would have removed."""
        return self.new.get(Action.REMOVE.value, 0)

    @property
    def ships(self) -> bool:
        """Whether it removes no more of them than the version in use does, or than one in 1,000."""
        most = max(self.old.get(Action.REMOVE.value, 0), self.uploads // 1000)
        return self.removed <= most

    def told(self) -> str:
        """One sentence."""
        before = self.old.get(Action.REMOVE.value, 0)
        return (
            f"It would have removed {self.removed:,} of your last {self.uploads:,} uploads that "
            f"nobody complained of ({before:,} by the version in use), restricted "
            f"{self.new.get('restrict', 0):,} and held {self.new.get('review', 0):,} for review; "
            f"{self.unscored:,} of them it did not score."
        )


def traffic(
    ledger: Ledger,
    pair: Sequence[Detector],
    policy: Policy,
    count: int,
    progress: Callable[[int], None] = lambda done: None,
) -> Traffic | None:
    """Decide the last visible uploads of a ledger again, with each of two models.

    Visible are uploads whose verdict is ``allow``: no policy and no reviewer stopped them, and no
    appeal concerns them. Those that a report or a legal notice is about are left out, whatever came
    of it. All other predictions stay as they were recorded.

    Args:
        ledger: Where the uploads are.
        pair: The version in use and the candidate, of one detector.
        policy: Decides.
        count: At most so many uploads.
        progress: Called with the number of uploads that are done.

    Returns:
        None if the ledger has no such upload.
    """
    from quorum.models.training.trial import run

    old, new = Counter[str](), Counter[str]()
    titles: list[str] = []
    uploads = unscored = 0
    for cases in _visible(ledger, count):
        kept = [case.upload for case in cases if case.upload is not None]
        findings = run(pair, _unlabelled(kept))
        for case, before, after in zip(cases, *findings, strict=True):
            old[_action(case, pair[0], before, policy)] += 1
            action = _action(case, pair[1], after, policy)
            new[action] += 1
            unscored += after.score is None
            if action == Action.REMOVE.value and len(titles) < _SHOWN and case.upload is not None:
                titles.append(case.upload.title)
        uploads += len(cases)
        progress(uploads)
    return Traffic(uploads, unscored, dict(old), dict(new), tuple(titles)) if uploads else None


def _visible(ledger: Ledger, count: int) -> Iterator[list[LedgerCase]]:
    from quorum.store.ledger import CaseFilter

    chosen = CaseFilter(actions=(Action.ALLOW,))
    last = None
    while count > 0:
        rows = ledger.find(chosen, after=last, limit=min(_PAGE, count))
        if not rows:
            return
        last = rows[-1]
        every = [row.upload_id for row in rows]
        complained_of = ledger.complained_of(every)
        ids = [one for one in every if one not in complained_of]
        cases = ledger.get_cases(ids, ["upload", "predictions", "verdicts"])
        whole = [case for case in cases if case.upload is not None]
        count -= len(whole)
        if whole:
            yield whole


def _unlabelled(uploads: list[Upload]) -> Labelled:
    from quorum.models.registry.artifacts import TrainingData
    from quorum.models.training.dataset import Labelled

    origin = TrainingData("ledger", "", len(uploads), "")
    return Labelled(uploads, np.zeros(len(uploads), dtype=np.int64), [], origin, ())


def _action(case: LedgerCase, detector: Detector, finding: Finding, policy: Policy) -> str:
    from quorum.aggregator.study.record import PastCase
    from quorum.models.detectors import Features
    from quorum.models.runner import predict

    upload = case.upload
    assert upload is not None
    made = predict(detector, Features(upload), finding, now(), 0.0)
    others = [one for one in case.current_predictions if one.detector != detector.name]
    return PastCase.gather(upload, [*others, made]).decide(policy).action.value
