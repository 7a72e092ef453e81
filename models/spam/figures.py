"""Figures of the spam detector on what was left out: by source, field and language."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from quorum.models.scoring.calibration import Platt, expected_calibration_error, prevalence_weights
from quorum.models.spam.compose import Composed
from quorum.models.spam.folds import Examples
from quorum.models.spam.judge import Judged, capped
from quorum.models.spam.model import GROUPS, group_of
from quorum.models.spam.reading import FieldKind
from quorum.models.spam.sources import Row

__all__ = ["figures_of"]

_THRESHOLDS = (0.5, 0.85, 0.98)
_SPLIT = "whole videos, sources, channels and languages left out"


def _recall_at_one_percent(scores: NDArray[np.float64], labels: NDArray[np.int64]) -> float:
    """Share of spam above the threshold that one innocent of a hundred reaches."""
    innocent = np.sort(scores[labels == 0])
    threshold = innocent[int(np.ceil(0.99 * len(innocent))) - 1]
    return float((scores[labels == 1] > threshold).mean())


def _ranked(odds: Sequence[float], labels: Sequence[int]) -> dict[str, Any]:
    from sklearn.metrics import roc_auc_score

    scores, truth = np.array(odds), np.array(labels)
    return {
        "spam": int(truth.sum()),
        "innocent": int((1 - truth).sum()),
        "auc": round(float(roc_auc_score(truth, scores)), 4),
        "recall_at_1_percent": round(_recall_at_one_percent(scores, truth), 3),
    }


@dataclass(frozen=True, slots=True)
class _LeftOut:
    """Rows, with what the model that left it out says of each, by its index."""

    rows: Sequence[Row]
    judged: Mapping[int, Judged]
    calibrations: Mapping[str, Platt]

    def of(self, **wanted: Any) -> list[int]:
        """The rows of which each of these has the value, or one of several."""
        any_of = {name: one if isinstance(one, tuple) else (one,) for name, one in wanted.items()}
        return [
            index
            for index in self.judged
            if all(getattr(self.rows[index], name) in values for name, values in any_of.items())
        ]

    def ranked(self, chosen: Sequence[int]) -> dict[str, Any]:
        """How well these rows are told apart."""
        odds = [self.judged[index].raw for index in chosen]
        return _ranked(odds, [self.rows[index].label for index in chosen])

    def scores(self, chosen: Sequence[int]) -> NDArray[np.float64]:
        """The calibrated scores of these rows."""
        return np.array([self._score(index) for index in chosen])

    def _score(self, index: int) -> float:
        one, kind = self.judged[index], self.rows[index].kind
        return capped(float(self.calibrations[group_of(kind)].apply(one.raw)), one.signs, kind)


def figures_of(
    examples: Examples,
    judged: Mapping[int, Judged],
    placed: Sequence[tuple[Composed, Judged]],
    calibrations: Mapping[str, Platt],
) -> tuple[dict[str, Any], dict[str, Any]]:
    """The figures, and the report of the calibration.

    Args:
        examples: The rows.
        judged: What the model that left it out says of each row, by its index.
        placed: The same of composed descriptions.
        calibrations: By group of fields.
    """
    rows, left = examples.rows, _LeftOut(examples.rows, judged, calibrations)
    comment, description, title = FieldKind.COMMENT, FieldKind.DESCRIPTION, FieldKind.TITLE
    videos = sorted({row.group for row in rows if row.source == "youtube_spam"})
    comments = {name: left.ranked(left.of(group=name, kind=comment)) for name in videos}
    languages = {}
    for name in sorted({row.group for row in rows if row.source == "made"}):
        at_half = left.scores(left.of(group=name, label=0)) >= 0.5
        languages[name.removeprefix("made ")] = {
            **left.ranked(left.of(group=name)),
            "innocent_at_0.5": round(float(np.mean(at_half)), 4),
        }
    honest = left.of(label=0, kind=description, source="youtube_uploads")
    titles = left.of(label=0, kind=title, source=("youtube_uploads", "youtube_trending"))
    uploads: dict[str, Any] = {}
    if honest and placed:
        uploads["descriptions with a line of spam"] = _ranked(
            [judged[index].raw for index in honest] + [one.raw for _, one in placed],
            [0] * len(honest) + [1] * len(placed),
        )
    for name, kind, innocent in (
        ("descriptions of spam alone", description, honest),
        ("titles", title, titles),
    ):
        spam = [one for one in left.of(label=1, kind=kind) if rows[one].source != "made"]
        if spam and innocent:
            uploads[name] = left.ranked(spam + innocent)
    never = {index for index in judged if examples.folds[index] == -1}
    innocents = {}
    for name, chosen in (
        ("descriptions of channels never trained on", [one for one in honest if one in never]),
        ("titles of channels never trained on", [one for one in titles if one in never]),
        ("descriptions", honest),
        ("titles", titles),
        ("comments", left.of(label=0, kind=comment)),
    ):
        if chosen:
            scores = left.scores(chosen)
            innocents[name] = {
                "texts": len(chosen),
                **{f"at {one}": round(float((scores >= one).mean()), 4) for one in _THRESHOLDS},
            }
    errors = {}
    for group in GROUPS:
        chosen = [one for one in judged if group_of(rows[one].kind) == group and one not in never]
        truth = np.array([rows[index].label for index in chosen])
        weights = prevalence_weights(truth, calibrations[group].prevalence)
        error = expected_calibration_error(left.scores(chosen), truth, weights)
        errors[group] = round(error, 4)
    metrics: dict[str, Any] = {
        "split": _SPLIT,
        "rows": len(rows),
        "comments_by_video": comments,
        "comments_by_source": {
            name: left.ranked(left.of(source=name, kind=comment))
            for name in ("instagram", "indonesian")
            if any(row.source == name for row in rows)
        },
        "written_by_language": languages,
        "uploads": uploads,
        "innocent_share_at": innocents,
    }
    if comments:
        metrics["roc_auc"] = round(float(np.mean([one["auc"] for one in comments.values()])), 4)
    return metrics, {
        "method": "platt, by group of fields",
        "split": _SPLIT,
        "expected_calibration_error": round(float(np.mean(list(errors.values()))), 4),
        "by_field": errors,
        "prevalence": calibrations[GROUPS[0]].prevalence,
    }
