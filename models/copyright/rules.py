"""What a rights holder's rule says of what was found in an upload."""

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
    """What follows from all that an upload holds of one work.

    Attributes:
        work: The work.
        matches: Its segments.
        action: ``allow`` where the rule lets it pass, or only records it.
        why: A sentence that a person can read.
        blocked: Where alone the rule restricts it, as ISO 3166-1 codes; empty for everywhere.
    """

    work: Work
    matches: tuple[CopyMatch, ...]
    action: Action
    why: str
    blocked: tuple[str, ...] = ()

    @property
    def score(self) -> float:
        """Probability that the upload holds the work."""
        return max(match.score for match in self.matches)


def rulings(matches: Sequence[CopyMatch], upload: Upload, at: datetime) -> list[Ruling]:
    """One ruling for each work that was found, the most severe first.

    Args:
        matches: What was found.
        upload: Where.
        at: The time, for embargoes.
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
    work, rule = found[0].work, found[0].work.rule
    if upload.uploader in work.exceptions:
        return Action.ALLOW, f"{upload.uploader} may use it"
    if work.embargo_until and at < work.embargo_until:
        return Action.REMOVE, f"not published before {work.embargo_until.date().isoformat()}"
    seconds = _covered([(match.start, match.end) for match in found])
    if all(match.medium != "file" for match in found) and seconds < rule.min_seconds:
        return Action.ALLOW, f"{seconds:.1f} s, under the {rule.min_seconds:g} s of its rule"
    upload_part = min(1.0, sum(match.upload_fraction for match in found))
    work_part = min(1.0, sum(match.work_fraction for match in found))
    if max(upload_part, work_part) < rule.min_fraction:
        part = max(upload_part, work_part)
        return Action.ALLOW, f"{part:.0%}, under the {rule.min_fraction:.0%} of its rule"
    return _in_territories(rule.action, work, upload)


def _in_territories(action: Action, work: Work, upload: Upload) -> tuple[Action, str]:
    if not work.territories:
        return action, f"its rule says {action}"
    shown, owned = set(upload.territories), set(work.territories)
    if shown and not shown & owned:
        return Action.ALLOW, "not shown where the owner has the rights"
    if action is Action.REMOVE and (not shown or shown - owned):
        where = ", ".join(_shown_and_owned(work, upload))
        return Action.RESTRICT, f"its rule says {action}, and the owner has the rights in {where}"
    return action, f"its rule says {action}"


def _shown_and_owned(work: Work, upload: Upload) -> tuple[str, ...]:
    shown, owned = set(upload.territories), set(work.territories)
    return tuple(sorted(owned & shown if shown else owned))


def _covered(spans: Sequence[tuple[float, float]]) -> float:
    """Seconds that some spans cover together."""
    total, reached = 0.0, float("-inf")
    for start, end in sorted(spans):
        total += max(0.0, end - max(start, reached))
        reached = max(reached, end)
    return total
