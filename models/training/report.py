"""Write an evaluation as a page of HTML that stands alone: figures, plots, worst mistakes."""

from __future__ import annotations

import html
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from quorum.models.scoring.calibration import REFERENCE_PREVALENCE, prevalence_weights
from quorum.models.training.dataset import Labelled
from quorum.models.training.evaluation import Report

__all__ = ["write_page"]

_SIZE = 240
_LEFT, _TOP = 56, 10
_STYLE = """
body{font:15px/1.5 system-ui,sans-serif;max-width:64rem;margin:2rem auto;padding:0 1rem;
color:#1b1f24;background:#fff}
table{border-collapse:collapse;margin:1rem 0}td,th{border:1px solid #d0d7de;padding:.3rem .6rem;
text-align:left;vertical-align:top}
figure{display:inline-block;margin:0 .5rem 1rem 0;vertical-align:top;width:19rem}
figcaption{text-align:center;font-size:13px}svg text{font-size:11px;fill:#57606a}
.box{fill:#fff;stroke:#d0d7de}.grid{stroke:#eaeef2}.chance{stroke:#8c959f;stroke-dasharray:4}
.interval{stroke:#0969da;stroke-opacity:.5}.dot{fill:#0969da}.reference{fill:#fff;stroke:#bc4c00}
.text{max-width:36rem;overflow-wrap:anywhere}
"""


def _at(x: float, y: float) -> str:
    """Where a point from 0 to 1 stands, as two numbers."""
    return f"{_LEFT + _SIZE * x:.1f},{_TOP + _SIZE * (1 - y):.1f}"


def _polyline(x: NDArray[np.float64], y: NDArray[np.float64]) -> str:
    points = " ".join(_at(float(a), float(b)) for a, b in zip(x, y, strict=True))
    return f'<polyline fill="none" stroke="#0969da" stroke-width="2" points="{points}"/>'


def _axes(across: str, up: str) -> str:
    made = [f'<rect x="{_LEFT}" y="{_TOP}" width="{_SIZE}" height="{_SIZE}" class=box />']
    for tick in (0.0, 0.25, 0.5, 0.75, 1.0):
        x, y = (float(one) for one in _at(tick, tick).split(","))
        bottom = _TOP + _SIZE
        made.append(
            f'<line x1="{x}" y1="{_TOP}" x2="{x}" y2="{bottom}" class=grid />'
            f'<line x1="{_LEFT}" y1="{y}" x2="{_LEFT + _SIZE}" y2="{y}" class=grid />'
            f'<text x="{x}" y="{bottom + 16}" text-anchor="middle">{tick:g}</text>'
            f'<text x="{_LEFT - 6}" y="{y + 4}" text-anchor="end">{tick:g}</text>'
        )
    middle = _LEFT + _SIZE / 2
    made.append(
        f'<text x="{middle}" y="{_TOP + _SIZE + 34}" text-anchor="middle">{html.escape(across)}'
        f'</text><text transform="translate(12 {_TOP + _SIZE / 2}) rotate(-90)" '
        f'text-anchor="middle">{html.escape(up)}</text>'
    )
    return "".join(made)


def _plot(title: str, across: str, up: str, content: str, *, diagonal: bool, note: str = "") -> str:
    (x1, y1), (x2, y2) = _at(0, 0).split(","), _at(1, 1).split(",")
    line = f'<line x1="{x1}" y1="{y1}" x2="{x2}" y2="{y2}" class=chance />' if diagonal else ""
    width, height = _LEFT + _SIZE + 12, _TOP + _SIZE + 42
    return (
        f'<figure><svg width="{width}" height="{height}" viewBox="0 0 {width} {height}" role="img" '
        f'aria-label="{html.escape(title)}">{_axes(across, up)}{line}{content}</svg>'
        f"<figcaption><b>{html.escape(title)}</b><br>{html.escape(note)}</figcaption></figure>"
    )


def _dots(labels: NDArray[np.int64], scores: NDArray[np.float64]) -> str:
    """By tenths of the score, the share with the harm and its interval, as in the data."""
    weights = prevalence_weights(labels, REFERENCE_PREVALENCE)
    dots = []
    index = np.minimum((scores * 10).astype(int), 9)
    for place in range(10):
        inside = index == place
        if not inside.any():
            continue
        x, share, count = float(scores[inside].mean()), float(labels[inside].mean()), inside.sum()
        low, high = _wilson(share, int(count))
        (x1, y1), (x2, y2) = _at(x, low).split(","), _at(x, high).split(",")
        size = 3 + 5 * np.sqrt(inside.mean())
        at_reference = float(np.average(labels[inside], weights=weights[inside]))
        cx, cy = _at(x, share).split(",")
        hx, hy = _at(x, at_reference).split(",")
        dots.append(
            f'<line x1="{x1}" y1="{y1}" x2="{x2}" y2="{y2}" class=interval />'
            f'<circle cx="{hx}" cy="{hy}" r="4" class=reference />'
            f'<circle cx="{cx}" cy="{cy}" r="{size:.1f}" class=dot><title>{count} examples'
            f"</title></circle>"
        )
    return "".join(dots)


def _wilson(share: float, count: int) -> tuple[float, float]:
    """Wilson's interval of 95 % (1927) of a share."""
    z = 1.96
    middle = share + z * z / (2 * count)
    half = z * np.sqrt(share * (1 - share) / count + z * z / (4 * count * count))
    scale = 1 + z * z / count
    return float((middle - half) / scale), float((middle + half) / scale)


def _plots(labels: NDArray[np.int64], scores: NDArray[np.float64]) -> str:
    from sklearn.metrics import precision_recall_curve, roc_curve

    if not 0 < labels.sum() < len(labels):
        return "<p>No plots: they need examples with the harm and without.</p>"
    false_positives, true_positives, _ = roc_curve(labels, scores)
    precision, recall, _ = precision_recall_curve(labels, scores)
    share = float(labels.mean())
    told = (
        f"full: this data, {share:.0%} with the harm, 95 %; hollow: the same at "
        f"{REFERENCE_PREVALENCE:.0%}, which shipped scores are calibrated to"
    )
    return (
        _plot("ROC", "false positives", "recall", _polyline(false_positives, true_positives),
              diagonal=True)
        + _plot("Precision and recall", "recall", "precision", _polyline(recall, precision),
                diagonal=False, note=f"at {share:.0%} with the harm")
        + _plot("Reliability", "score", "share with the harm", _dots(labels, scores),
                diagonal=True, note=told)
    )  # fmt: skip


def _mistakes(
    data: Labelled, scored: NDArray[np.int64], scores: NDArray[np.float64], most: int
) -> str:
    labels = data.labels[scored]
    gaps = np.abs(scores - labels)
    rows = []
    for place in np.argsort(-gaps, kind="stable")[:most]:
        upload = data.uploads[int(scored[place])]
        told = " ".join(f"{upload.title} {upload.description} {upload.media or ''}".split())
        rows.append(
            f"<tr><td>{html.escape(upload.id)}</td><td>{labels[place]}</td>"
            f"<td>{scores[place]:.3f}</td><td class=text>{html.escape(told[:400])}</td></tr>"
        )
    return (
        "<table><tr><th>id</th><th>label</th><th>score</th><th>what</th></tr>"
        + "".join(rows)
        + "</table>"
    )


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
        scores: One for each; None where there is none.
        report: The figures of the same scores.
        mistakes: How many of the worst are told.
    """
    scored = np.array([index for index, score in enumerate(scores) if score is not None])
    values = np.array([score for score in scores if score is not None], dtype=np.float64)
    figures = "".join(
        f"<tr><td>{html.escape(name.replace('_', ' '))}</td><td>{figure}</td></tr>"
        for name, figure in report.figures.items()
    )
    slices = "".join(
        f"<tr><td>{html.escape(name)}</td><td>{rows}</td><td>{positives}</td><td>{figure}</td></tr>"
        for name, (rows, positives, figure) in report.slices.items()
    )
    page = (
        f"<!doctype html><html lang=en><meta charset=utf-8><title>{html.escape(title)}</title>"
        f"<style>{_STYLE}</style><h1>{html.escape(title)}</h1>"
        f"<p>{report.rows} examples scored, {report.positives} of them with the harm; "
        f"{report.unscored} not scored. Intervals of 95 %.</p>"
        f"<table><tr><th>metric</th><th>value</th></tr>{figures}</table>"
        f"{_plots(data.labels[scored], values)}"
        "<h2>By slice</h2><table><tr><th>slice</th><th>examples</th><th>with the harm</th>"
        f"<th>ROC-AUC</th></tr>{slices}</table>"
        f"<h2>Worst mistakes</h2>{_mistakes(data, scored, values, mistakes)}</html>\n"
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(page, encoding="utf-8")
