"""Draw the pictures of the tutorial: one for each way to deploy the same ensemble.

    python docs/make_tutorial_pictures.py [--check]

Writes ``docs/images/tutorial-*.svg``; with ``--check`` it writes nothing and exits with 1 if one
of them is not current.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from html import escape
from pathlib import Path

IMAGES = Path(__file__).parent / "images"

_STYLE = """
:root{--ink:#1b2430;--dim:#5b6673;--card:#fff;--line:#c5ccd6;--back:#f6f8fa;--way:#0b6bcb}
@media (prefers-color-scheme:dark){
:root{--ink:#e6edf3;--dim:#9aa7b4;--card:#1c232c;--line:#3a4552;--back:#0f141a;--way:#58a6ff}}
.back{fill:var(--back)}.card{fill:var(--card);stroke:var(--line);stroke-width:1.2}
text{fill:var(--ink);font-size:14px}.b{font-weight:600}.s{fill:var(--dim);font-size:12px}
.way{stroke:var(--way);stroke-width:2;fill:none}.tip{fill:var(--way)}
"""

_WIDTH, _HEIGHT, _GAP = 150, 64, 90


@dataclass(frozen=True)
class Box:
    """A part of a picture: at a column and a row, with a name and a line below it."""

    column: float
    row: float
    name: str
    note: str


@dataclass(frozen=True)
class Picture:
    """Boxes, and arrows between them, each with a word or none."""

    title: str
    boxes: tuple[Box, ...]
    arrows: tuple[tuple[int, int, str], ...]


PICTURES = {
    "notebook": Picture(
        "One model in a notebook: a table in, scores out",
        (Box(0, 0, "table", "rows"), Box(1, 0, "model", "one"), Box(2, 0, "scores", "a column")),
        ((0, 1, "read"), (1, 2, "predict")),
    ),
    "offline": Picture(
        "Offline: files or tables in windows, the ensemble, a ledger and a report",
        (
            Box(0, 0.5, "table or file", "in windows"),
            Box(1, 0.5, "ensemble", "detectors, policy"),
            Box(2, 0, "ledger", "what was decided"),
            Box(2, 1, "report", "one page"),
        ),
        ((0, 1, "read"), (1, 2, "record"), (1, 3, "sum up")),
    ),
    "web": Picture(
        "Web: a caller asks the service, which answers with a verdict",
        (
            Box(0, 0, "caller", "waits"),
            Box(1, 0, "web service", "the same ensemble"),
            Box(2, 0, "ledger", "what was decided"),
        ),
        ((0, 1, "upload"), (1, 0, "verdict"), (1, 2, "record")),
    ),
    "registry": Picture(
        "Web with a registry: the service follows an alias of the registry",
        (
            Box(0, 1, "caller", "waits"),
            Box(1, 1, "web service", "the same ensemble"),
            Box(1, 0, "registry", "alias champion"),
            Box(0, 0, "trainer", "registers, promotes"),
        ),
        ((0, 1, "upload"), (1, 0, "verdict"), (2, 1, "model"), (3, 2, "version")),
    ),
    "stream": Picture(
        "Stream: the platform publishes, the job decides, many consumers read verdicts",
        (
            Box(0, 1, "platform", "does not wait"),
            Box(1, 1, "stream job", "the same ensemble"),
            Box(2, 0, "platform", "applies them"),
            Box(2, 1, "ledger", "quorum record"),
            Box(2, 2, "reviewers", "the console"),
        ),
        ((0, 1, "uploads"), (1, 2, "verdicts"), (1, 3, ""), (1, 4, "")),
    ),
}


def draw(picture: Picture) -> str:
    """One picture as SVG."""
    right = max(box.column for box in picture.boxes) * (_WIDTH + _GAP) + _WIDTH + 48
    below = max(box.row for box in picture.boxes) * (_HEIGHT + 28) + _HEIGHT + 48
    parts = [
        (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {right:g} {below:g}" '
            f'width="{right:g}" role="img" aria-labelledby="t" '
            'font-family="system-ui, -apple-system, Segoe UI, Helvetica, Arial, sans-serif">'
        ),
        f'<title id="t">{escape(picture.title)}</title>',
        f"<style>{_STYLE}</style>",
        (
            '<defs><marker id="m" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" '
            'markerHeight="7" orient="auto"><path class="tip" d="M0 0L8 4L0 8z"/></marker></defs>'
        ),
        f'<rect class="back" width="{right:g}" height="{below:g}" rx="12"/>',
    ]
    both = {(start, end) for start, end, _ in picture.arrows}
    parts += [_arrow(picture, one, paired=(one[1], one[0]) in both) for one in picture.arrows]
    for box in picture.boxes:
        x, y = _corner(box)
        middle = x + _WIDTH / 2
        parts.append(
            f'<rect class="card" x="{x:g}" y="{y:g}" width="{_WIDTH}" height="{_HEIGHT}" rx="8"/>'
            f'<text class="b" x="{middle:g}" y="{y + 28:g}" text-anchor="middle">'
            f"{escape(box.name)}</text>"
            f'<text class="s" x="{middle:g}" y="{y + 46:g}" text-anchor="middle">'
            f"{escape(box.note)}</text>"
        )
    return "\n".join([*parts, "</svg>", ""])


def _corner(box: Box) -> tuple[float, float]:
    return 24 + box.column * (_WIDTH + _GAP), 24 + box.row * (_HEIGHT + 28)


def _arrow(picture: Picture, arrow: tuple[int, int, str], *, paired: bool) -> str:
    start, end, word = arrow
    (x1, y1), (x2, y2) = _corner(picture.boxes[start]), _corner(picture.boxes[end])
    if x1 == x2:
        x, top, bottom = x1 + _WIDTH / 2, y1 + _HEIGHT + 2, y2 - 2
        line = f'<path class="way" marker-end="url(#m)" d="M{x:g} {top:g}V{bottom:g}"/>'
        return f'{line}<text class="s" x="{x + 8:g}" y="{(top + bottom) / 2 + 4:g}">{word}</text>'
    forth = x1 < x2
    aside = (-12 if forth else 12) if paired else 0
    left, right = (x1 + _WIDTH + 2, x2 - 2) if forth else (x1 - 2, x2 + _WIDTH + 2)
    up, down = y1 + _HEIGHT / 2 + aside, y2 + _HEIGHT / 2 + aside
    text = (up + down) / 2 + (-6 if aside <= 0 else 15)
    return (
        f'<path class="way" marker-end="url(#m)" d="M{left:g} {up:g}L{right:g} {down:g}"/>'
        f'<text class="s" x="{(left + right) / 2:g}" y="{text:g}" text-anchor="middle">'
        f"{escape(word)}</text>"
    )


def main() -> None:
    """Write them, or compare."""
    stale = []
    for name, picture in PICTURES.items():
        file, made = IMAGES / f"tutorial-{name}.svg", draw(picture)
        if "--check" not in sys.argv:
            file.write_text(made, encoding="utf-8")
        elif not file.is_file() or file.read_text(encoding="utf-8") != made:
            stale.append(file.name)
    if stale:
        sys.exit(f"not current: {', '.join(stale)}; run python {Path(__file__).name}")


if __name__ == "__main__":
    main()
