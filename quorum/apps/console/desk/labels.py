"""Reviews as training data: sampling of cases to label, and export of weighted labels.

Cases are drawn with known probabilities (Poisson sampling): each has a positive probability, and
a higher one if a score is uncertain or a shadow disagrees with the live detector. A label's weight
is the inverse of its case's probability (Horvitz and Thompson 1952), so that sums over the labels
are unbiased estimates of sums over all cases.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any, NamedTuple

from sqlalchemy import Connection, insert, select

from quorum.apps.console.accounts import audit
from quorum.apps.console.desk.harm import uncertainty
from quorum.apps.console.desk.tasks import open_task
from quorum.core.messages import Action, Review, Verdict, now
from quorum.store.ledger import CaseFilter, Ledger, TimeRange, schema
from quorum.store.ledger.console_schema import decisions, samples
from quorum.store.ledger.reading import load_cases

__all__ = ["Shares", "disagreement", "draw", "export", "probabilities"]

_CHUNK = 200


@dataclass(frozen=True, slots=True)
class Shares:
    """The proportions of random, uncertain and disagreeing cases; normalised to sum to 1."""

    random: float = 1.0
    uncertain: float = 1.0
    disagreeing: float = 1.0


def disagreement(verdict: Verdict) -> float:
    """Return the greatest difference between a detector's live and shadow score, or 0."""
    live = {one.detector: one.score for one in verdict.predictions if not one.shadow}
    shadows = [(one.detector, one.score) for one in verdict.predictions if one.shadow]
    found = [
        abs(score - known)
        for name, score in shadows
        if score is not None and (known := live.get(name)) is not None
    ]
    return max(found, default=0.0)


def probabilities(
    cases: Sequence[tuple[float, float]], count: float, shares: Shares
) -> list[float]:
    """Return the probability of each case to be drawn; all are positive.

    Args:
        cases: The uncertainty and the disagreement of each case.
        count: The expected number of drawn cases, an upper bound if probabilities reach 1.
        shares: The proportions of random, uncertain and disagreeing cases.
    """
    uncertain, disagreeing = sum(one for one, _ in cases), sum(two for _, two in cases)
    parts = {
        "random": shares.random,
        "uncertain": shares.uncertain if uncertain else 0.0,
        "disagreeing": shares.disagreeing if disagreeing else 0.0,
    }
    # Without a random part some cases could never be drawn, which no weight corrects.
    parts["random"] = max(parts["random"], 0.05 * sum(parts.values()), 1e-9)
    whole = sum(parts.values())
    return [
        min(
            1.0,
            count
            * (
                parts["random"] / len(cases)
                + (parts["uncertain"] * one / uncertain if uncertain else 0.0)
                + (parts["disagreeing"] * two / disagreeing if disagreeing else 0.0)
            )
            / whole,
        )
        for one, two in cases
    ]


def draw(
    ledger: Ledger,
    count: int,
    shares: Shares | None = None,
    span: TimeRange | None = None,
    chance: random.Random | None = None,
) -> int:
    """Draw cases that nobody has reviewed, and open a task for each.

    Cases held for review are excluded, since people decide all of them. A case is drawn at most
    once.

    Returns:
        The number of drawn cases.
    """
    rolls = chance or random.Random()  # noqa: S311
    query = select(samples.c.upload_id)
    known = set(ledger.transact(lambda c: list(c.execute(query).scalars())))
    actions = (Action.ALLOW, Action.RESTRICT, Action.REMOVE)
    chosen = CaseFilter(actions=actions, reviewed=False, unsealed=True, decided=span or TimeRange())
    found: list[tuple[str, float, float]] = []
    after = None
    while rows := ledger.find(chosen, after=after, limit=_CHUNK):
        after = rows[-1]
        ids = [row.upload_id for row in rows if row.upload_id not in known]
        for case in ledger.get_cases(ids, ["verdicts"]):
            if case.verdict is not None:
                both = (uncertainty(case.verdict), disagreement(case.verdict))
                found.append((case.upload_id, *both))
    if not found:
        return 0
    chances = probabilities([(one, two) for _, one, two in found], count, shares or Shares())
    drawn = [
        (upload_id, p)
        for (upload_id, _, _), p in zip(found, chances, strict=True)
        if rolls.random() < p
    ]
    for start in range(0, len(drawn), _CHUNK):
        chunk = dict(drawn[start : start + _CHUNK])
        ledger.transact(partial(_keep, drawn=chunk), writes=True)
    return len(drawn)


def _keep(connection: Connection, drawn: dict[str, float]) -> None:
    for case in load_cases(connection, list(drawn), ("upload", "verdicts")):
        if case.verdict is None:
            continue
        connection.execute(
            insert(samples).values(
                upload_id=case.upload_id,
                verdict_id=case.verdict.id,
                probability=drawn[case.upload_id],
                at=now(),
            )
        )
        open_task(connection, "review", case.upload, case.verdict, key="sample")
    audit.append(connection, "command line", "cases.sampled", "sample", count=len(drawn))


def export(ledger: Ledger, category: str) -> Iterator[str]:
    """Yield labels of one category as JSON lines for ``quorum models train --data``.

    The last review of an upload counts, whether it was made in this console or came by the stream
    of reviews. A case that a reviewer restricted or removed for this category is positive; one that
    they allowed is negative. A case that they stopped for another category is left out: it carries
    no information about this one. ``sampled`` marks drawn cases, whose weights represent the cases
    that nobody reviewed; cases held by the policy have weight 1. ``by`` is ``console`` or
    ``stream``.
    """
    last = ledger.transact(_last_reviews)
    ids = list(last)
    for start in range(0, len(ids), _CHUNK):
        for case in ledger.get_cases(ids[start : start + _CHUNK], ["upload"]):
            row = last[case.upload_id]
            label = _label(row.action, row.harms, category)
            if label is None or case.upload is None:
                continue
            example: dict[str, Any] = json.loads(case.upload.to_bytes())
            example |= {
                "label": label,
                "weight": 1.0 if row.probability is None else 1.0 / row.probability,
                "sampled": row.probability is not None,
                "source": case.upload.uploader,
                "by": row.by,
            }
            yield json.dumps(example, ensure_ascii=False)


class _Reviewed(NamedTuple):
    """The last review of an upload.

    Attributes:
        at: When it was made.
        action: What was decided.
        harms: The harms that it names, or that the verdict named which it confirms.
        probability: With which the case was drawn; None if it was not.
        by: ``console`` or ``stream``.
    """

    at: datetime
    action: str
    harms: tuple[str, ...]
    probability: float | None
    by: str


def _last_reviews(connection: Connection) -> dict[str, _Reviewed]:
    """The last review of each upload, by the console or another tool."""
    d, r, v = decisions.c, schema.reviews.c, schema.verdicts.c
    made = connection.execute(
        select(d.upload_id, d.at, d.action, d.category, d.reviewer, samples.c.probability)
        .join(samples, samples.c.verdict_id == d.verdict_id, isouter=True)
        .where(d.state == "published")
    ).all()
    last: dict[str, _Reviewed] = {}

    def keep(upload_id: str, review: _Reviewed) -> None:
        if upload_id not in last or last[upload_id].at <= review.at:
            last[upload_id] = review

    for row in made:
        chosen = tuple(one for one in (row.category,) if one is not None)
        keep(row.upload_id, _Reviewed(row.at, row.action, chosen, row.probability, "console"))
    # The console's own come back by the stream of reviews.
    own = {(row.upload_id, row.reviewer, row.at, row.action) for row in made}
    query = (
        select(r.upload_id, r.at, r.action, r.reviewer, r.body, v.category, samples.c.probability)
        .join(schema.verdicts, v.id == r.verdict_id, isouter=True)
        .join(samples, samples.c.verdict_id == r.verdict_id, isouter=True)
        .order_by(r.at, r.id)
    )
    for sent in connection.execute(query):
        if (sent.upload_id, sent.reviewer, sent.at, sent.action) in own:
            continue
        harms = Review.model_validate_json(sent.body).labels
        if not harms and sent.category is not None:
            harms = (sent.category,)
        keep(sent.upload_id, _Reviewed(sent.at, sent.action, harms, sent.probability, "stream"))
    return dict(sorted(last.items(), key=lambda item: (item[1].at, item[0])))


def _label(action: str, harms: Sequence[str], wanted: str) -> int | None:
    if action == Action.ALLOW.value:
        return 0
    if action == Action.REVIEW.value:
        return None
    found = any(harm == wanted or harm.startswith(f"{wanted}/") for harm in harms)
    return 1 if found else None
