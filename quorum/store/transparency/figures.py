"""Counts what a transparency report needs from the ledger; what the ledger cannot know is None.

A *measure* is a verdict that restricts or removes, where the verdict before it on that upload did
not do the same: a revision that repeats an action is no new measure.
"""

from __future__ import annotations

import json
import statistics
from collections import Counter, defaultdict
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

from sqlalchemy import Connection, Select, and_, case, exists, func, literal, or_, select

from quorum.aggregator.policy.categories import DSA_CATEGORIES, SHIPPED_CATEGORIES, Category
from quorum.store.ledger.accounts_schema import account_verdicts
from quorum.store.ledger.console_schema import appeals, decisions, samples
from quorum.store.ledger.reports_schema import report_cases, reporters, reports
from quorum.store.ledger.schema import UtcTime, cases, predictions, reviews, uploads, verdicts
from quorum.store.ledger.statements import in_chunks
from quorum.store.transparency.values import (
    Asked,
    Complaints,
    Figures,
    Measures,
    Notices,
    Share,
)

__all__ = ["count"]

_EARLIER: Final = datetime(1970, 1, 1, tzinfo=UTC)
_RESTRICTING: Final = ("restrict", "remove")
_DISABLED: Final = "disable"


def count(connection: Connection, asked: Asked, categories: Mapping[str, Category]) -> Figures:
    """Count a report's figures.

    Args:
        connection: A connection.
        asked: The period, language and territory.
        categories: The policy's categories, for grounds and statement categories.
    """
    found = Figures(asked)
    unnamed: set[str] = set()

    def named(name: str | None) -> Category:
        known = categories.get(name or "") or SHIPPED_CATEGORIES.get(name or "")
        if known is None and name:
            unnamed.add(name)
        return known or SHIPPED_CATEGORIES["other-violation-tc"]

    automated = _count_measures(connection, asked, found, named)
    _count_notices(connection, asked, found, named)
    found.complaints = _complaints(connection, asked)
    found.precision = _precision(connection, automated)
    found.accuracy, found.recall = _sampled(connection, asked)
    found.unfounded = connection.execute(
        select(func.count()).select_from(reporters).where(_in(reporters.c.suspended_at, asked))
    ).scalar_one()
    found.reviewers = connection.execute(
        select(func.count(reviews.c.reviewer.distinct())).where(_in(reviews.c.at, asked))
    ).scalar_one()
    p = predictions.c
    seen = select(p.detector, p.version).where(_in(p.at, asked), p.shadow.is_(False)).distinct()
    found.detectors = tuple(sorted(f"{row[0]} {row[1]}" for row in connection.execute(seen)))
    found.unnamed = frozenset(unnamed)
    found.first_verdict = connection.execute(select(func.min(verdicts.c.at))).scalar_one()
    return found


def _in(column: Any, asked: Asked) -> Any:
    period = asked.period
    wanted = [column.is_not(None)]
    if period.since is not None:
        wanted.append(column >= period.since)
    if period.until is not None:
        wanted.append(column < period.until)
    return and_(*wanted)


def _of_asked(query: Select[Any], upload_id: Any, asked: Asked) -> Select[Any]:
    """Keep rows of uploads in the language and territory that are asked for."""
    if asked.language:
        language = asked.language.lower()
        mine = func.lower(cases.c.language)
        query = query.where(
            exists().where(
                cases.c.upload_id == upload_id,
                or_(mine == language, mine.startswith(f"{language}-", autoescape=True)),
            )
        )
    if asked.territory:
        code = asked.territory.upper()
        body = uploads.c.body
        everywhere = or_(
            ~body.contains('"territories":[', autoescape=True),
            body.contains('"territories":[]', autoescape=True),
        )
        # Codes are two letters in quotes, within the one list of codes that an upload has.
        query = query.where(
            exists().where(
                uploads.c.id == upload_id,
                or_(everywhere, body.regexp_match(f'"territories":\\[[^]]*"{code}"')),
            )
        )
    return query


def _effective() -> Any:
    """The action of a verdict, or that it holds in some territories alone."""
    v = verdicts.c
    local = and_(v.body.contains('"territories":{"', autoescape=True), v.decided_by != "reviewer")
    return case((local, literal(_DISABLED)), else_=v.action)


def _count_measures(
    connection: Connection, asked: Asked, found: Figures, named: Any
) -> dict[str, tuple[str, datetime]]:
    """Count measures; returns the automated ones: upload and time by verdict."""
    v = verdicts.c
    effective = _effective()
    touched = select(v.upload_id).where(_in(v.at, asked), effective.in_((*_RESTRICTING, _DISABLED)))
    content = func.coalesce(v.content_at, literal(_EARLIER, UtcTime()))
    order = (content, v.revision, v.at, v.id)
    before = func.lag(effective).over(partition_by=v.upload_id, order_by=order)
    before_by = func.lag(v.decided_by).over(partition_by=v.upload_id, order_by=order)
    with_account = case((v.body.contains('"account":{', autoescape=True), v.body), else_=None)
    inner = (
        select(
            v.id,
            v.upload_id,
            v.category,
            v.decided_by,
            v.at,
            effective.label("effective"),
            before.label("before"),
            before_by.label("before_by"),
            with_account.label("account_body"),
        )
        .where(v.upload_id.in_(touched))
        .subquery()
    )
    c = report_cases.c
    noticed = exists().where(
        c.upload_id == inner.c.upload_id,
        c.outcome == "upheld",
        c.opened_at <= inner.c.at,
        exists().where(reports.c.case_id == c.id, reports.c.law.is_(True)),
    )
    query = select(inner, noticed.label("noticed")).where(
        _in(inner.c.at, asked),
        inner.c.effective.in_((*_RESTRICTING, _DISABLED)),
        or_(inner.c.before.is_(None), inner.c.before != inner.c.effective),
    )
    automated = {}
    own: dict[tuple[str, str], Measures] = defaultdict(Measures)
    for row in connection.execute(_of_asked(query, inner.c.upload_id, asked)):
        category = named(row.category)
        alone = row.decided_by != "reviewer"
        held = row.before == "review" and row.before_by != "reviewer"
        one = Measures(
            total=1,
            detected=int(alone or held),
            solely_automated=int(alone),
            removed=int(row.effective == "remove"),
            disabled=int(row.effective == _DISABLED),
            restricted=int(row.effective == "restrict"),
            suspended=int(_suspends(row.account_body)),
        )
        found.all_measures.add(one)
        if alone:
            automated[row.id] = (row.upload_id, row.at)
        if not row.noticed:
            own[category.ground, DSA_CATEGORIES[category.dsa]].add(one)
    _count_orders(connection, asked, found, named, own)
    found.own = dict(own)
    return automated


def _count_orders(
    connection: Connection,
    asked: Asked,
    found: Figures,
    named: Any,
    own: dict[tuple[str, str], Measures],
) -> None:
    """Count suspensions and bans by people, whose reviews leave the action on the upload.

    Later revisions of the upload repeat such a decision; its review is counted once.
    """
    a, v = account_verdicts.c, verdicts.c
    query = (
        select(a.upload_id, a.action, a.body, v.category, _in(a.at, asked).label("asked"))
        .join(verdicts, v.id == a.verdict_id)
        .where(a.state == "holds", a.action.in_(("suspend", "ban")))
        .order_by(a.at)
    )
    seen: set[str] = set()
    for row in connection.execute(_of_asked(query, a.upload_id, asked)):
        review = json.loads(row.body).get("review")
        if review is None or review in seen:
            continue
        seen.add(review)
        if not row.asked:
            continue
        one = Measures(suspended=int(row.action == "suspend"), ended=int(row.action == "ban"))
        found.all_measures.add(one)
        category = named(row.category)
        own[category.ground, DSA_CATEGORIES[category.dsa]].add(one)


def _suspends(body: str | None) -> bool:
    """Whether a rule's decision on the account suspends it."""
    account = json.loads(body).get("account") if body else None
    if not isinstance(account, dict) or account.get("review") is not None:
        return False
    return account.get("action") == "suspend" and account.get("state") == "holds"


def _count_notices(connection: Connection, asked: Asked, found: Figures, named: Any) -> None:
    r, c = reports.c, report_cases.c
    query = (
        select(
            r.case_id,
            r.at,
            r.category,
            r.trusted,
            r.state,
            r.repeat,
            r.decided_at,
            c.decided_by,
            c.decided_category,
        )
        .join(report_cases, c.id == r.case_id)
        .where(_in(r.at, asked), r.law.is_(True))
    )
    for row in connection.execute(_of_asked(query, r.upload_id, asked)):
        key = DSA_CATEGORIES[named(row.category).dsa]
        kinds = [found.notices, found.trusted] if row.trusted else [found.notices]
        for kind in kinds:
            one = kind.setdefault(key, Notices())
            one.received += 1
            one.items.add(row.case_id)
            if row.state == "open":
                continue
            one.hours.append((row.decided_at - row.at).total_seconds() / 3600)
            alone = row.repeat or row.state == "moot" or row.decided_by is None
            one.automated += alone
            one.by_person += not alone
            if row.state == "upheld":
                law = named(row.decided_category).ground == "law"
                (one.on_law if law else one.on_terms).add(row.case_id)


def _complaints(connection: Connection, asked: Asked) -> Complaints:
    a, d = appeals.c, decisions.c
    chosen = (
        select(d.action)
        .where(
            d.upload_id == a.upload_id,
            d.kind == "appeal",
            d.state == "published",
            d.at == a.decided_at,
        )
        .limit(1)
        .scalar_subquery()
    )
    query = select(a.state, a.at, a.decided_at, chosen.label("chosen")).where(_in(a.at, asked))
    states: Counter[str] = Counter()
    hours = []
    for row in connection.execute(_of_asked(query, a.upload_id, asked)):
        partly = row.state == "reversed" and row.chosen not in (None, "allow")
        states["partly" if partly else row.state] += 1
        if row.decided_at is not None:
            hours.append((row.decided_at - row.at).total_seconds() / 3600)
    return Complaints(
        total=sum(states.values()),
        upheld=states["upheld"],
        partly=states["partly"],
        reversed=states["reversed"],
        omitted=states["open"],
        hours=statistics.median(hours) if hours else None,
    )


def _precision(connection: Connection, automated: Mapping[str, tuple[str, datetime]]) -> Share:
    """Of automated measures that a person looked at afterwards, the share that stood."""
    ids = sorted({upload_id for upload_id, _ in automated.values()})
    looked: dict[str, list[tuple[datetime, str]]] = defaultdict(list)
    for chunk in in_chunks(ids):
        r = reviews.c
        query = select(r.upload_id, r.at, r.action).where(
            r.upload_id.in_(chunk), r.action != "review"
        )
        for row in connection.execute(query.order_by(r.at)):
            looked[row.upload_id].append((row.at, row.action))
    stood = []
    for upload_id, at in automated.values():
        after = next((action for when, action in looked[upload_id] if when > at), None)
        if after is not None:
            stood.append(after != "allow")
    return Share(sum(stood) / len(stood) if stood else None, len(stood))


def _sampled(connection: Connection, asked: Asked) -> tuple[Share, Share]:
    """Accuracy and recall by uploads drawn at random, each weighted by its inverse probability."""
    s, v, r = samples.c, verdicts.c, reviews.c
    truth = (
        select(r.action)
        .where(r.upload_id == s.upload_id, r.at >= s.at, r.action != "review")
        .order_by(r.at)
        .limit(1)
        .scalar_subquery()
    )
    query = (
        select(s.probability, v.action, truth.label("truth"))
        .join(verdicts, v.id == s.verdict_id)
        .where(_in(s.at, asked), v.decided_by != "reviewer", v.action != "review")
    )
    right = total = hit = bad = 0.0
    looked = 0
    for row in connection.execute(_of_asked(query, s.upload_id, asked)):
        if row.truth is None or not row.probability:
            continue
        weight = 1 / row.probability
        restricts, should = row.action in _RESTRICTING, row.truth in _RESTRICTING
        looked += 1
        total += weight
        right += weight * (restricts == should)
        bad += weight * should
        hit += weight * (should and restricts)
    accuracy = Share(right / total if total else None, looked)
    return accuracy, Share(hit / bad if bad else None, looked)
