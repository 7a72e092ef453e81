"""The page that a backtest writes: one HTML file that loads nothing from elsewhere."""

from __future__ import annotations

from collections import Counter
from html import escape
from pathlib import Path
from typing import Any

from quorum.aggregator.policy.policy import Policy
from quorum.aggregator.study.backtest import Backtest
from quorum.aggregator.study.difference import differences
from quorum.core.errors import InputError

__all__ = ["write_report"]

_STYLE = """
body{font:16px/1.5 system-ui,sans-serif;max-width:64rem;margin:2rem auto;padding:0 1rem;
color:#1c2126;background:#fff}h1{font-size:1.5rem}h2{font-size:1.15rem;margin-top:2rem}
table{border-collapse:collapse;width:100%;margin:.5rem 0}caption{text-align:left;color:#565f69}
th,td{text-align:left;padding:.3rem .6rem;border-bottom:1px solid #d9dee3;vertical-align:top}
td.n,th.n{text-align:right;font-variant-numeric:tabular-nums}.same{color:#7a838c}
@media(prefers-color-scheme:dark){body{color:#e4e8ec;background:#15181b}
th,td{border-color:#333a41}caption,.same{color:#9aa4ae}}
"""


def write_report(file: Path, found: Backtest, candidate: Policy, base: Policy | None) -> None:
    """Write the page.

    Raises:
        InputError: If the file cannot be written.
    """
    try:
        file.write_text(_page(found, candidate, base), encoding="utf-8")
    except OSError as error:
        msg = f"cannot write the report {file}: {error.strerror or error}"
        raise InputError(msg) from None


def _page(found: Backtest, candidate: Policy, base: Policy | None) -> str:
    compared = "what was decided at the time" if base is None else base.version
    words = () if base is None else differences(base, candidate)
    parts = [
        f"<h1>Backtest of {escape(candidate.version)}</h1>",
        f"<p>{found.cases:,} cases decided again, against {escape(compared)}.</p>",
        f"<p><strong>{found.changed:,}</strong> actions change.</p>",
        _list("What the candidate says otherwise", words),
        _table(
            "From what to what",
            ("before", "after"),
            found.changes,
            total=found.cases,
        ),
        _truth(found),
        _table("By the rule that decides now", ("rule", "before", "after"), found.by_rule),
        _table("By category", ("category", "before", "after"), found.by_category),
        _table("By territory", ("territory", "before", "after"), found.by_territory),
        _table("By uploader group", ("group", "before", "after"), found.by_group),
        _samples(found),
    ]
    return (
        '<!doctype html><html lang="en"><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<title>Backtest of {escape(candidate.version)}</title><style>{_STYLE}</style>"
        f"<main>{''.join(parts)}</main></html>\n"
    )


def _list(title: str, items: tuple[str, ...]) -> str:
    if not items:
        return ""
    return f"<h2>{title}</h2><ul>{''.join(f'<li>{escape(one)}</li>' for one in items)}</ul>"


def _table(
    title: str, heads: tuple[str, ...], counts: Counter[Any], total: int | None = None
) -> str:
    if not counts:
        return ""
    rows = []
    for key, count in counts.most_common(100):
        same = ' class="same"' if key[-1] == key[-2] else ""
        cells = "".join(f"<td>{escape(part)}</td>" for part in key)
        share = "" if total is None else f'<td class="n">{count / total:.2%}</td>'
        rows.append(f'<tr{same}>{cells}<td class="n">{count:,}</td>{share}</tr>')
    head = "".join(f'<th scope="col">{one}</th>' for one in heads)
    last = "" if total is None else '<th scope="col" class="n">share</th>'
    return (
        f"<h2>{title}</h2><table><thead><tr>{head}"
        f'<th scope="col" class="n">cases</th>{last}</tr></thead>'
        f"<tbody>{''.join(rows)}</tbody></table>"
    )


def _truth(found: Backtest) -> str:
    if not found.after:
        return "<p>No reviewer has decided any of these cases, so nothing tells who is right.</p>"
    lines = []
    for candidate, told in ((False, "Before"), (True, "After")):
        wrong, removed = found.wrongful_removals(candidate=candidate)
        table = found.after if candidate else found.before
        agree = sum(count for (action, truth), count in table.items() if action == truth)
        lines.append(
            f'<tr><td>{told}</td><td class="n">{agree:,}</td><td class="n">{removed:,}</td>'
            f'<td class="n">{wrong:,}</td></tr>'
        )
    return (
        "<h2>Against the reviewers</h2><table><caption>Of the cases that a reviewer decided"
        '</caption><thead><tr><th></th><th class="n">same action</th><th class="n">removals'
        '</th><th class="n">of them not upheld</th></tr></thead>'
        f"<tbody>{''.join(lines)}</tbody></table>"
    )


def _samples(found: Backtest) -> str:
    parts = []
    for (old, new), samples in sorted(found.samples.items()):
        rows = "".join(
            f"<tr><td>{escape(one.upload_id)}</td><td>{escape(one.title)}</td>"
            f"<td>{escape(one.before_rule)}</td><td>{escape(one.after_rule)}</td>"
            f"<td>{escape(one.review or '')}</td></tr>"
            for one in samples
        )
        parts.append(
            f"<h2>To read: {escape(old)} becomes {escape(new)}</h2><table><thead><tr>"
            "<th>upload</th><th>title</th><th>decided by</th><th>would be by</th>"
            f"<th>reviewer</th></tr></thead><tbody>{rows}</tbody></table>"
        )
    return "".join(parts)
