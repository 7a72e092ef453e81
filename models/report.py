"""Write an evaluation as a page of HTML that stands alone: figures, plots, worst mistakes."""

from __future__ import annotations

import html
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from models.dataset import Labelled
from models.evaluation import Report

__all__ = ["write_page"]

_SIZE = 260
_STYLE = """
body{font:15px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;
color:#1b1f24;background:#fff}
table{border-collapse:collapse;margin:1rem 0}td,th{border:1px solid #d0d7de;padding:.3rem .6rem;
text-align:left;vertical-align:top}
figure{display:inline-block;margin:0 1rem 1rem 0}figcaption{text-align:center}
svg{border:1px solid #d0d7de;background:#fff}.text{max-width:36rem;overflow-wrap:anywhere}
"""


def _polyline(x: NDArray[np.float64], y: NDArray[np.float64]) -> str:
    points = " ".join(f"{_SIZE * a:.1f},{_SIZE * (1 - b):.1f}" for a, b in zip(x, y, strict=True))
    return f'<polyline fill="none" stroke="#0969da" stroke-width="2" points="{points}"/>'


def _plot(title: str, across: str, up: str, content: str, *, diagonal: bool) -> str:
    line = f'<line x1="0" y1="{_SIZE}" x2="{_SIZE}" y2="0" stroke="#8c959f" stroke-dasharray="4"/>'
    return (
        f'<figure><svg width="{_SIZE}" height="{_SIZE}" viewBox="0 0 {_SIZE} {_SIZE}" role="img" '
        f'aria-label="{html.escape(title)}">{line if diagonal else ""}{content}</svg>'
        f"<figcaption><b>{html.escape(title)}</b><br>{html.escape(up)} over "
        f"{html.escape(across)}, 0 to 1</figcaption></figure>"
    )


def _plots(labels: NDArray[np.int64], scores: NDArray[np.float64]) -> str:
    from sklearn.metrics import precision_recall_curve, roc_curve

    false_positives, true_positives, _ = roc_curve(labels, scores)
    precision, recall, _ = precision_recall_curve(labels, scores)
    dots = []
    index = np.minimum((scores * 10).astype(int), 9)
    for place in range(10):
        inside = index == place
        if inside.any():
            x, y = _SIZE * scores[inside].mean(), _SIZE * (1 - labels[inside].mean())
            size = 3 + 9 * np.sqrt(inside.mean())
            dots.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{size:.1f}" fill="#0969da"/>')
    return (
        _plot("ROC", "false positives", "recall", _polyline(false_positives, true_positives),
              diagonal=True)
        + _plot("Precision and recall", "recall", "precision", _polyline(recall, precision),
                diagonal=False)
        + _plot("Reliability", "score", "share with the harm", "".join(dots), diagonal=True)
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
