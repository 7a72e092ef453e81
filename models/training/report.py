"""The report of an evaluation: figures, plots and the worst mistakes on one HTML page."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from quorum.core.intervals import wilson
from quorum.core.report.page import render
from quorum.models.scoring.calibration import REFERENCE_PREVALENCE, prevalence_weights
from quorum.models.training.dataset import Labelled
from quorum.models.training.evaluation import Errors, Report
from quorum.models.training.trial import words_of

__all__ = ["write_page"]

_TEMPLATE: Final = Path(__file__).with_name("report.html")
#: Of fewer examples with the harm, or without, a bootstrap's intervals are too narrow.
_FEW: Final = 10
#: How far a score on the wrong side of 0.5 is from its label.
_WRONG: Final = 0.5


def write_page(
    path: Path,
    title: str,
    data: Labelled,
    scores: Sequence[float | None],
    report: Report,
    *,
    mistakes: int = 20,
) -> None:
    """Write the page.

    Args:
        path: The HTML file.
        title: What was evaluated: the detector, its version and the data.
        data: The examples.
        scores: One for each example; None where it was not scored.
        report: The figures of the same scores.
        mistakes: How many of the worst are listed: scores on the wrong side of 0.5.
    """
    scored = np.array([index for index, score in enumerate(scores) if score is not None], dtype=int)
    values = np.array([score for score in scores if score is not None], dtype=np.float64)
    page = render(
        _TEMPLATE,
        title=title,
        report=report,
        few=min(report.positives, report.rows - report.positives) < _FEW,
        figures=[(name.replace("_", " "), figure) for name, figure in report.figures.items()],
        plots=_plots(data.labels[scored], values),
        slices=[
            (name, *figures, *_shares(report.errors[name]))
            for name, figures in report.slices.items()
        ],
        mistakes=list(_mistakes(data, scored, values, mistakes)),
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(page, encoding="utf-8")


def _shares(errors: Errors) -> list[str]:
    told = (errors.recall, errors.false_positives, errors.calibration)
    return ["" if one is None else f"{one:.3f}" for one in told]


def _plots(labels: NDArray[np.int64], scores: NDArray[np.float64]) -> dict[str, Any] | None:
    """The curves as points from 0 to 1; None unless both classes are there."""
    from sklearn.metrics import precision_recall_curve, roc_curve

    if not 0 < labels.sum() < len(labels):
        return None
    false_positives, true_positives, _ = roc_curve(labels, scores)
    precision, recall, _ = precision_recall_curve(labels, scores, drop_intermediate=True)
    return {
        "share": f"{labels.mean():.0%}",
        "reference": f"{REFERENCE_PREVALENCE:.0%}",
        "roc": _points(false_positives, true_positives),
        "precision_recall": _points(recall, precision),
        "dots": list(_dots(labels, scores)),
    }


def _points(x: NDArray[np.float64], y: NDArray[np.float64]) -> str:
    return " ".join(f"{a:.4f},{b:.4f}" for a, b in zip(x, y, strict=True))


def _dots(labels: NDArray[np.int64], scores: NDArray[np.float64]) -> Iterator[dict[str, float]]:
    """For each tenth of the score: the share with the harm, its interval, and at the reference."""
    weights = prevalence_weights(labels, REFERENCE_PREVALENCE)
    index = np.minimum((scores * 10).astype(int), 9)
    for place in range(10):
        inside = index == place
        if not inside.any():
            continue
        share, count = float(labels[inside].mean()), int(inside.sum())
        low, high = wilson(round(share * count), count)
        at_reference = np.average(labels[inside], weights=weights[inside])
        yield {
            "x": round(float(scores[inside].mean()), 4),
            "share": round(share, 4),
            "low": round(low, 4),
            "high": round(high, 4),
            "at_reference": round(float(at_reference), 4),
            "radius": round(float(0.012 + 0.02 * np.sqrt(inside.mean())), 4),
            "count": count,
        }


def _mistakes(
    data: Labelled, scored: NDArray[np.int64], scores: NDArray[np.float64], most: int
) -> Iterator[tuple[str, int, str, str, str]]:
    labels = data.labels[scored]
    gaps = np.abs(scores - labels)
    for place in np.argsort(-gaps, kind="stable")[:most]:
        if gaps[place] < _WRONG:
            return
        upload = data.uploads[int(scored[place])]
        text = " ".join(" ".join((*words_of(upload), upload.media or "")).split())
        kind = data.kinds[int(scored[place])] if data.kinds else ""
        yield upload.id, int(labels[place]), f"{scores[place]:.3f}", kind, text[:400]
