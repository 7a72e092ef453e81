"""The data of a case's page, read from the ledger."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, select

from quorum.aggregator.policy.categories import Category
from quorum.aggregator.policy.policy import Policy
from quorum.apps.console.accounts.access import User
from quorum.apps.console.accounts.names import folded
from quorum.apps.console.desk import again, decisions, tasks
from quorum.apps.console.desk.decisions import ReviewDecision
from quorum.apps.console.desk.tasks import ReviewTask
from quorum.apps.console.pages.base import Console
from quorum.apps.console.pages.highlighting import HighlightedField, highlighted_fields
from quorum.apps.console.pages.media import media_link
from quorum.apps.console.pages.timeline import Timeline, timeline
from quorum.core.messages import Action, Prediction, Status, UsedPrediction, Verdict, now
from quorum.store.ledger import CaseFilter, CaseSummary, LedgerCase
from quorum.store.ledger.console_schema import appeals, skips
from quorum.store.ledger.console_schema import tasks as task_table
from quorum.store.ledger.schema import cases

__all__ = ["CaseView", "ScoreRow", "UploaderHistory", "categories_of", "load"]

_RECENT = 12
#: The most uploads that a page counts per uploader.
_COUNTED = 500


@dataclass(frozen=True, slots=True)
class ScoreRow:
    """A row of the table of predictions."""

    detector: str
    version: str
    status: str
    score: float | None
    labels: tuple[tuple[str, float], ...]
    reason: str | None
    shadow: bool
    elapsed: float | None
    used: bool


@dataclass(frozen=True, slots=True)
class UploaderHistory:
    """The actions on an uploader's newest 500 uploads, and the most recent of these."""

    by_action: Mapping[str, int]
    recent: tuple[CaseSummary, ...]


@dataclass(frozen=True, slots=True)
class CaseView:
    """The data of a case's page.

    Attributes:
        upload_id: The upload.
        case: Its messages.
        verdict: The verdict that the page shows.
        revisions: The visible verdicts, newest first.
        task: The open task that the reader holds or may take.
        mine: Whether the reader holds it.
        holder: Who holds it.
        blind: Whether others' decisions are hidden so that the reader decides independently.
        fields: The upload's texts, highlighted.
        timeline: Evidence in the media.
        media: The URL of the media; None if it cannot be shown.
        media_message: Why it cannot be shown.
        scores: All predictions.
        rule: The expression of the rule that decided.
        history: The uploader's history.
        decisions: Reviewers' decisions on the case.
        appeals: The uploader's appeals.
        skipped: Reviewers who skipped the case, with their reasons.
        categories: The categories to choose from, with the policy's words about each.
        territories: The verdict's action by territory.
        refusal: Why the reader may not decide the case again; None if they may.
    """

    upload_id: str
    case: LedgerCase
    verdict: Verdict | None
    revisions: tuple[Verdict, ...]
    task: ReviewTask | None
    mine: bool
    holder: str | None
    blind: bool
    fields: Sequence[HighlightedField]
    timeline: Timeline | None
    media: str | None
    media_message: str
    scores: Sequence[ScoreRow]
    rule: str
    history: UploaderHistory
    decisions: Sequence[ReviewDecision]
    appeals: Sequence[object]
    skipped: Sequence[object]
    categories: Sequence[Category]
    territories: Mapping[str, str]
    refusal: str | None


def load(console: Console, upload_id: str, reader: User) -> CaseView | None:
    """Load the data of a case's page; None if the ledger has nothing on the upload."""
    case = console.ledger.get_case(upload_id)
    if case is None:
        return None
    upload, predictions = case.upload, case.current_predictions

    def work(
        connection: Connection,
    ) -> tuple[ReviewTask | None, list[ReviewDecision], list[object], list[object]]:
        task = tasks.held_by(connection, reader.name, upload_id) or _open(
            connection, upload_id, reader.name
        )
        made = decisions.of_case(connection, upload_id)
        appealed = select(appeals).where(appeals.c.upload_id == upload_id).order_by(appeals.c.at)
        skipped = select(skips).where(skips.c.upload_id == upload_id).order_by(skips.c.at)
        return task, made, [*connection.execute(appealed)], [*connection.execute(skipped)]

    task, made, appealed, skipped = console.ledger.transact(work)
    holder = None if task is None else task.held(now())
    mine = holder == reader.name
    blind = task is not None and mine and task.kind in ("double", "golden")
    revisions = tuple(reversed(case.verdicts))
    if blind and task is not None:
        last = len(revisions) - 1
        at = next((i for i, one in enumerate(revisions) if one.id == task.verdict_id), last)
        revisions = revisions[at:]
        made, skipped, appealed = [], [], []
    verdict = revisions[0] if revisions else None
    policy = console.policy
    rule = next((r for r in policy.rules if verdict and r.name == verdict.rule), None)
    link, media_message = media_link(console, upload)
    return CaseView(
        upload_id=upload_id,
        case=case,
        verdict=verdict,
        revisions=revisions,
        task=task,
        mine=mine,
        holder=holder,
        blind=blind,
        fields=() if upload is None else highlighted_fields(upload, predictions),
        timeline=timeline(upload, predictions),
        media=link,
        media_message=media_message,
        scores=_scores(predictions, verdict),
        rule="" if rule is None else rule.when.source,
        history=_history(console, None if upload is None else upload.uploader, upload_id),
        decisions=made,
        appeals=appealed,
        skipped=skipped,
        categories=categories_of(policy),
        refusal=again.refusal(case, reader),
        territories=dict(((verdict.model_extra or {}).get("territories") or {}) if verdict else {}),
    )


def _open(connection: Connection, upload_id: str, reader: str) -> ReviewTask | None:
    t = task_table.c
    row = connection.execute(
        select(task_table)
        .where(
            t.upload_id == upload_id,
            t.state == "open",
            t.kind != "golden",
            t.only_for.is_(None) | (t.only_for == reader),
            t.not_for.is_(None) | (t.not_for != folded(reader)),
        )
        .limit(1)
    ).first()
    return None if row is None else tasks.task_from_row(row)


def _scores(predictions: Sequence[Prediction], verdict: Verdict | None) -> list[ScoreRow]:
    used = {one.id for one in verdict.predictions} if verdict is not None else set()
    found = [_score(one, used=one.id in used) for one in predictions]
    known = {one.id for one in predictions}
    if verdict is not None:
        found += [_score(one, used=True) for one in verdict.predictions if one.id not in known]
    return sorted(found, key=lambda one: (one.shadow, -(one.score or -1.0), one.detector))


def _score(one: Prediction | UsedPrediction, *, used: bool) -> ScoreRow:
    return ScoreRow(
        detector=one.detector,
        version=one.version,
        status=Status(one.status).value,
        score=one.score,
        labels=tuple(sorted(one.labels.items(), key=lambda item: -item[1])[:8]),
        reason=one.reason,
        shadow=one.shadow,
        elapsed=one.elapsed if isinstance(one, Prediction) else None,
        used=used,
    )


def _history(console: Console, uploader: str | None, upload_id: str) -> UploaderHistory:
    if uploader is None:
        return UploaderHistory({}, ())
    chosen = CaseFilter(uploader=uploader, unsealed=True)
    recent = console.ledger.find(chosen, limit=_RECENT + 1)

    def work(connection: Connection) -> Counter[str]:
        query = (
            select(cases.c.action)
            .where(cases.c.uploader == uploader, cases.c.at.is_not(None))
            .order_by(cases.c.at.desc())
            .limit(_COUNTED)
        )
        return Counter(connection.execute(query).scalars())

    counts = console.ledger.transact(work)
    ordered = {a.value: counts[a.value] for a in Action if counts[a.value]}
    others = tuple(one for one in recent if one.upload_id != upload_id)[:_RECENT]
    return UploaderHistory(ordered, others)


def categories_of(policy: Policy) -> list[Category]:
    """Those of the rules first, in the same order on every case: a number means one category."""
    known = [one.category for one in policy.rules if one.category]
    found = dict.fromkeys([*known, *sorted(policy.categories)])
    return [policy.categories[name] for name in found if name in policy.categories]
