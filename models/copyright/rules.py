"""Apply the owners' rules to the matches of an upload."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from quorum.core.messages import ACTIONS, Action, Upload
from quorum.models.copyright.catalogue.works import Work
from quorum.models.copyright.matching.matching import CopyMatch

__all__ = ["Ruling", "rulings"]


@dataclass(frozen=True, slots=True)
class Ruling:
    """The outcome of a work's rule for one upload.

    Attributes:
        work: The matched work.
        matches: All matches of the work in the upload.
        action: ``allow`` if the rule permits the use or only records it.
        why: Human-readable reason.
        blocked: ISO 3166-1 codes of the only territories restricted; empty for everywhere.
    """

    work: Work
    matches: tuple[CopyMatch, ...]
    action: Action
    why: str
    blocked: tuple[str, ...] = ()

    @property
    def score(self) -> float:
        """Probability that the upload contains the work."""
        return max(match.score for match in self.matches)


def rulings(matches: Sequence[CopyMatch], upload: Upload, at: datetime) -> list[Ruling]:
    """Apply the rule of each matched work; the most severe outcome first.

    Args:
        matches: All matches of the upload.
        upload: The upload.
        at: Current time, for embargoes.
    """
    by_work: dict[str, list[CopyMatch]] = {}
    for match in matches:
        by_work.setdefault(match.work.id, []).append(match)
    made = []
    for found in by_work.values():
        found.sort(key=lambda match: match.start)
        action, why = _rule(found, upload, at)
        blocked = _shown_and_owned(found[0].work, upload) if action is Action.RESTRICT else ()
        made.append(Ruling(found[0].work, tuple(found), action, why, blocked))
    return sorted(made, key=lambda each: (-ACTIONS.index(each.action), -each.score, each.work.id))


def _rule(found: Sequence[CopyMatch], upload: Upload, at: datetime) -> tuple[Action, str]:
    """The outcome; nothing is removed unseen where a part of the picture contradicts the copy."""
    action, why = _owners_rule(found, upload, at)
    if action is Action.REMOVE and all(match.doubted for match in found):
        return Action.REVIEW, f"{why}; a part of the picture is not the work's for a while"
    return action, why


def _owners_rule(found: Sequence[CopyMatch], upload: Upload, at: datetime) -> tuple[Action, str]:
    work, rule = found[0].work, found[0].work.rule
    if upload.uploader in work.exceptions:
        return Action.ALLOW, f"{upload.uploader} may use it"
    if work.embargo_until and at < work.embargo_until:
        return Action.REMOVE, f"under embargo until {work.embargo_until.date().isoformat()}"
    seconds = _covered([(match.start, match.end) for match in found])
    if all(match.medium != "file" for match in found) and seconds < rule.min_seconds:
        return Action.ALLOW, f"{seconds:.1f} s, below its rule's minimum of {rule.min_seconds:g} s"
    upload_part = min(1.0, sum(match.upload_fraction for match in found))
    work_part = min(1.0, sum(match.work_fraction for match in found))
    if max(upload_part, work_part) < rule.min_fraction:
        part = max(upload_part, work_part)
        return Action.ALLOW, f"{part:.0%}, below its rule's minimum of {rule.min_fraction:.0%}"
    return _in_territories(rule.action, work, upload)


def _in_territories(action: Action, work: Work, upload: Upload) -> tuple[Action, str]:
    if not work.territories:
        return action, f"the owner's rule is {action}"
    shown, owned = set(upload.territories), set(work.territories)
    if shown and not shown & owned:
        return Action.ALLOW, "not shown in the owner's territories"
    if action is Action.REMOVE and (not shown or shown - owned):
        where = ", ".join(_shown_and_owned(work, upload))
        return Action.RESTRICT, f"the owner's rule is {action}, with rights only in {where}"
    return action, f"the owner's rule is {action}"


def _shown_and_owned(work: Work, upload: Upload) -> tuple[str, ...]:
    shown, owned = set(upload.territories), set(work.territories)
    return tuple(sorted(owned & shown if shown else owned))


def _covered(spans: Sequence[tuple[float, float]]) -> float:
    """Total seconds covered by possibly overlapping spans."""
    total, reached = 0.0, float("-inf")
    for start, end in sorted(spans):
        total += max(0.0, end - max(start, reached))
        reached = max(reached, end)
    return total
