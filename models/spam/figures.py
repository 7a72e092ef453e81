"""Figures of the spam detector on what was left out: by source, field and language."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
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

__all__ = ["figures_of", "recall_at_false_positives"]

_THRESHOLDS = (0.5, 0.85, 0.98)


def recall_at_false_positives(
    scores: NDArray[np.float64], labels: NDArray[np.int64], share: float = 0.01
) -> float:
    """Share of spam above the threshold that so many innocents reach."""
    innocent = np.sort(scores[labels == 0])
    threshold = innocent[int(np.ceil((1 - share) * len(innocent))) - 1]
    return float((scores[labels == 1] > threshold).mean())


def _ranked(odds: Sequence[float], labels: Sequence[int]) -> dict[str, Any]:
    from sklearn.metrics import roc_auc_score

    scores, truth = np.array(odds), np.array(labels)
    return {
        "spam": int(truth.sum()),
        "innocent": int((1 - truth).sum()),
        "auc": round(float(roc_auc_score(truth, scores)), 4),
        "recall_at_1_percent": round(recall_at_false_positives(scores, truth), 3),
    }


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
    rows = examples.rows

    def score(index: int) -> float:
        one, group = judged[index], group_of(rows[index].kind)
        return capped(float(calibrations[group].apply(one.raw)), one.signs, rows[index].kind)

    def of(keep: Callable[[Row], bool]) -> list[int]:
        return [index for index in judged if keep(rows[index])]

    def ranked(chosen: list[int]) -> dict[str, Any]:
        return _ranked([judged[index].raw for index in chosen], [rows[index].label for index in
                                                                 chosen])  # fmt: skip

    videos = sorted({row.group for row in rows if row.source == "youtube_spam"})
    comments = {
        name: ranked(of(lambda row, name=name: row.group == name  # type: ignore[misc]
                        and row.kind is FieldKind.COMMENT))
        for name in videos
    }  # fmt: skip
    sources = {
        name: ranked(of(lambda row, name=name: row.source == name  # type: ignore[misc]
                        and row.kind is FieldKind.COMMENT))
        for name in ("instagram", "indonesian")
        if any(row.source == name for row in rows)
    }  # fmt: skip
    languages = {}
    for name in sorted({row.group for row in rows if row.source == "made"}):
        chosen = of(lambda row, name=name: row.group == name)  # type: ignore[misc]
        honest_ones = [score(index) for index in chosen if not rows[index].label]
        languages[name.removeprefix("made ")] = {
            **ranked(chosen),
            "innocent_at_0.5": round(float(np.mean([one >= 0.5 for one in honest_ones])), 4),
        }
    honest = of(lambda row: row.label == 0 and row.kind is FieldKind.DESCRIPTION
                and row.source == "youtube_uploads")  # fmt: skip
    titles = of(lambda row: row.label == 0 and row.kind is FieldKind.TITLE
                and row.source in ("youtube_uploads", "youtube_trending"))  # fmt: skip
    uploads: dict[str, Any] = {}
    if honest and placed:
        uploads["descriptions with a line of spam"] = _ranked(
            [judged[index].raw for index in honest] + [one.raw for _, one in placed],
            [0] * len(honest) + [1] * len(placed),
        )
    for name, kind, innocent in (
        ("descriptions of spam alone", FieldKind.DESCRIPTION, honest),
        ("titles", FieldKind.TITLE, titles),
    ):
        spam = of(lambda row, kind=kind: row.label == 1 and row.kind is kind  # type: ignore[misc]
                  and row.source != "made")  # fmt: skip
        if spam and innocent:
            uploads[name] = ranked(spam + innocent)
    never = [index for index in judged if examples.folds[index] == -1]
    innocents = {}
    for name, chosen in (
        ("descriptions of channels never trained on", [i for i in never if i in set(honest)]),
        ("titles of channels never trained on", [i for i in never if i in set(titles)]),
        ("descriptions", honest),
        ("titles", titles),
        ("comments", of(lambda row: row.label == 0 and row.kind is FieldKind.COMMENT)),
    ):
        if chosen:
            scores = np.array([score(index) for index in chosen])
            innocents[name] = {
                "texts": len(chosen),
                **{f"at {one}": round(float((scores >= one).mean()), 4) for one in _THRESHOLDS},
            }
    errors = {}
    for group in GROUPS:
        chosen = [index for index in judged if group_of(rows[index].kind) == group
                  and examples.folds[index] >= 0]  # fmt: skip
        truth = np.array([rows[index].label for index in chosen])
        made = np.array([score(index) for index in chosen])
        weights = prevalence_weights(truth, calibrations[group].prevalence)
        errors[group] = round(expected_calibration_error(made, truth, weights), 4)
    metrics: dict[str, Any] = {
        "split": "whole videos, sources, channels and languages left out",
        "rows": len(rows),
        "comments_by_video": comments,
        "comments_by_source": sources,
        "written_by_language": languages,
        "uploads": uploads,
        "innocent_share_at": innocents,
    }
    if comments:
        metrics["roc_auc"] = round(float(np.mean([one["auc"] for one in comments.values()])), 4)
    return metrics, {
        "method": "platt, by group of fields",
        "split": metrics["split"],
        "expected_calibration_error": round(float(np.mean(list(errors.values()))), 4),
        "by_field": errors,
        "prevalence": calibrations[GROUPS[0]].prevalence,
    }
