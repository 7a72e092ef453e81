"""The report of a backtest: one HTML page."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from quorum.aggregator.policy.policy import Policy
from quorum.aggregator.study.backtest import Backtest
from quorum.aggregator.study.difference import differences
from quorum.core.errors import InputError
from quorum.core.report.page import render

__all__ = ["write_report"]

_TEMPLATE: Final = Path(__file__).with_name("policy_report.html")
#: Rows of a table.
_MOST_ROWS: Final = 100


def write_report(file: Path, found: Backtest, candidate: Policy, base: Policy | None) -> None:
    """Write the page.

    Raises:
        InputError: If the file cannot be written.
    """
    page = render(
        _TEMPLATE,
        title=f"Backtest of {candidate.version}",
        found=found,
        compared="what was decided at the time" if base is None else base.version,
        differences=() if base is None else differences(base, candidate),
        figures=list(_figures(found)),
        changes=[
            (*row, f"{count / found.cases:.2%}")
            for row, count in zip(_rows(found.changes), _counts(found.changes), strict=True)
        ],
        reviewed=list(_reviewed(found)) if found.after else [],
        groups=[
            ("By the rule that decides now", "rule", _rows(found.by_rule)),
            ("By category", "category", _rows(found.by_category)),
            ("By territory", "territory", _rows(found.by_territory)),
            ("By uploader group", "group", _rows(found.by_group)),
        ],
        planned=_rows(found.planned),
        samples=[
            (
                *change,
                [
                    (one.upload_id, one.title, one.before_rule, one.after_rule, one.review or "")
                    for one in samples
                ],
            )
            for change, samples in sorted(found.samples.items())
        ],
    )
    try:
        file.write_text(page, encoding="utf-8")
    except OSError as error:
        msg = f"cannot write the report {file}: {error.strerror or error}"
        raise InputError(msg) from None


def _counts(counts: Counter[Any]) -> list[int]:
    return [count for _, count in counts.most_common(_MOST_ROWS)]


def _rows(counts: Counter[Any]) -> list[tuple[str, ...]]:
    return [(*key, f"{count:,}") for key, count in counts.most_common(_MOST_ROWS)]


def _figures(found: Backtest) -> Iterator[tuple[str, str, str]]:
    share = found.changed / found.cases if found.cases else 0.0
    yield f"{found.changed:,}", f"actions change ({share:.1%})", ""
    for action in ("allow", "restrict", "review", "remove"):
        before, after = (
            sum(count for change, count in found.changes.items() if change[side] == action)
            for side in (0, 1)
        )
        yield f"{after:,}", f"{action} ({after - before:+,})", action


def _reviewed(found: Backtest) -> Iterator[tuple[str, ...]]:
    for candidate, name in ((False, "before"), (True, "after")):
        wrong, removed = found.wrongful_removals(candidate=candidate)
        table = found.after if candidate else found.before
        agree = sum(count for (action, truth), count in table.items() if action == truth)
        yield name, f"{agree:,}", f"{removed:,}", f"{wrong:,}"
