"""Seeds the demo with past work of its users: decisions, golden cases, appeals, a draft."""

from __future__ import annotations

import random
from collections.abc import Callable
from datetime import timedelta
from typing import Final

from sqlalchemy import Connection, select, update

from quorum.aggregator.policy.policy import Policy
from quorum.apps.console.desk import appeals, claims, decisions, drafts, golden, outbox, trials
from quorum.apps.console.desk.publishing import LedgerReviewPublisher
from quorum.apps.console.desk.queues import Queue
from quorum.apps.console.desk.tasks import ReviewTask
from quorum.core.messages import Action
from quorum.store.ledger import CaseFilter, Ledger
from quorum.store.ledger.console_schema import decisions as table

__all__ = ["seed_reviews"]

_REVIEWERS: Final = ("ana", "ben")
_ACTIONS: Final = (Action.REMOVE, Action.RESTRICT, Action.ALLOW)
_SHARES: Final = (5, 2, 3)
_DECIDED: Final = 48
_APPEALED: Final = 6
_GOLDEN: Final = 8
_TEXTS: Final = (
    "This is a scene from a game that I made myself.",
    "I am the drummer of this band. The song is ours.",
    "It is a report about the thing, not an advertisement of it.",
    "Please look at it again: nobody is hurt in it.",
)


def seed_reviews(ledger: Ledger, policy: Policy) -> None:
    """Simulate the demo users' work; deterministic except for times."""
    chance = random.Random(11)  # noqa: S311
    reviews = LedgerReviewPublisher(ledger, policy)

    def publish() -> None:
        while outbox.publish_due(ledger, reviews.publish, double_rate=0.35, chance=chance.random):
            pass

    def judge(name: str, task: ReviewTask) -> None:
        # The correct action is drawn once per case; reviewers choose it nine times in ten.
        right = random.Random(task.upload_id).choices(_ACTIONS, _SHARES)[0]  # noqa: S311
        action = right if chance.random() < 0.9 else chance.choice(_ACTIONS)
        decisions.decide(ledger, task.id, name, action, task.category, "", timedelta(0))

    for number in range(_DECIDED):
        name = _REVIEWERS[number % 2]
        order = Queue(order="age" if number % 3 else "harm")
        if (task := claims.claim_next(ledger, order, name)) is not None:
            judge(name, task)
    publish()
    for name in _REVIEWERS:
        while (task := claims.claim_next(ledger, Queue(kind="double"), name)) is not None:
            judge(name, task)
    _measure(ledger, judge)
    _appeal(ledger)
    for name in _REVIEWERS:
        if (task := claims.claim_next(ledger, Queue(kind="appeal"), name)) is not None:
            action = Action.ALLOW if name == "ana" else Action.REMOVE
            note = "The uploader is right." if name == "ana" else "The verdict is correct."
            decisions.decide(ledger, task.id, name, action, task.category, note, timedelta(0))
    publish()
    _set_durations(ledger, chance)
    _draft(ledger, policy)


def _set_durations(ledger: Ledger, chance: random.Random) -> None:
    """Replace the durations of decisions by realistic ones."""

    def work(connection: Connection) -> None:
        for decision_id in connection.execute(select(table.c.id)).scalars().all():
            taken = update(table).where(table.c.id == decision_id)
            connection.execute(taken.values(seconds=chance.lognormvariate(3.2, 0.6)))

    ledger.transact(work, writes=True)


def _measure(ledger: Ledger, judge: Callable[[str, ReviewTask], None]) -> None:
    for action in (Action.REMOVE, Action.ALLOW):
        for row in ledger.find(CaseFilter(actions=(action,)), limit=_GOLDEN // 2):
            golden.set_answer(ledger, row.upload_id, action, row.category, "lea")
    for name in _REVIEWERS:
        for _ in range(_GOLDEN):
            if (task := golden.assign(ledger, name)) is not None:
                judge(name, task)


def _appeal(ledger: Ledger) -> None:
    stopped = CaseFilter(actions=(Action.REMOVE, Action.RESTRICT))
    for number, row in enumerate(ledger.find(stopped, limit=_APPEALED)):
        text = _TEXTS[number % len(_TEXTS)]
        appeals.appeal(ledger, row.upload_id, row.verdict_id or "", text, "demo")


def _draft(ledger: Ledger, policy: Policy) -> None:
    for old, new in (("0.75", "0.65"), ("0.80", "0.70"), ("0.90", "0.85")):
        text = policy.text.replace(f">= {old}", f">= {new}")
        if text != policy.text:
            why = "Fights were found too late last week."
            draft_id = drafts.save(ledger, "A little stricter", text, "lea", why)
            trials.run_backtest(ledger, draft_id, "lea", policy)
            drafts.propose(ledger, draft_id, "lea")
            return
