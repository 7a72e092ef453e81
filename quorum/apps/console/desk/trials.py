"""Trials of drafts: backtest and blast radius over last week's cases, in the background.

A trial waits in the ledger until a console takes it; one whose console went away is taken by
another. The thread rests as long as it worked, so that pages stay quick beside it.
"""

from __future__ import annotations

import json
import logging
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from datetime import timedelta
from typing import Any, Final

from sqlalchemy import Connection, or_, select, update

from quorum.aggregator.policy.policy import Policy
from quorum.aggregator.study.backtest import Backtest
from quorum.aggregator.study.record import PastCase
from quorum.aggregator.study.trial import Trial, try_policy
from quorum.apps.console.accounts import audit
from quorum.apps.console.desk.decisions import Conflict
from quorum.core.errors import QuorumError
from quorum.core.messages import now
from quorum.store.ledger import Ledger, TimeRange
from quorum.store.ledger.console_schema import drafts
from quorum.store.ledger.schema import cases
from quorum.store.ledger.sealing import shown_title
from quorum.store.past_cases import draw_sample, read_sample

__all__ = ["MOST_CASES", "WEEK", "TrialRunner", "ask_for_trial", "run_backtest", "samples_of"]

_log = logging.getLogger(__name__)

#: The most cases of a trial; of more, whole uploaders are drawn.
MOST_CASES: Final = 10_000
#: The time whose cases are decided again.
WEEK: Final = timedelta(days=7)

#: A running trial that told nothing for so long is taken by another console.
_LOST: Final = timedelta(seconds=60)
_TELL_SECONDS: Final = 1.0
_LOOK_SECONDS: Final = 2.0
_CLOSE_SECONDS: Final = 5.0
#: Cases after which the thread rests for as long as they took, seconds at most.
_LOT: Final = 20
_REST_SECONDS: Final = 0.5


class _Stopped(Exception):
    """The console ends, or another one took the trial."""


def ask_for_trial(ledger: Ledger, draft_id: str, by: str) -> None:
    """Have a draft tried in the background; one that waits or runs already stays as it is.

    Raises:
        Conflict: If there is no such draft, or it was activated.
    """

    def work(connection: Connection) -> None:
        d = drafts.c
        state = connection.execute(select(d.state).where(d.id == draft_id)).scalar()
        if state not in ("draft", "proposed"):
            msg = "There is no such draft, or it was activated already."
            raise Conflict(msg)
        idle = or_(d.trial.is_(None), d.trial.in_(("done", "failed")))
        connection.execute(
            update(drafts)
            .where(d.id == draft_id, idle)
            .values(trial="waiting", trial_by=by, trial_at=now(), trial_done=0, trial_error=None)
        )

    ledger.transact(work, writes=True)


def run_backtest(
    ledger: Ledger,
    draft_id: str,
    by: str,
    base: Policy | None = None,
    told: Callable[[int, int], None] = lambda _done, _total: None,
) -> None:
    """Try a draft on last week's cases now, and store the report.

    Args:
        ledger: The ledger.
        draft_id: The draft.
        by: Who asked for it.
        base: The policy in force, to compare with; None for the recorded actions.
        told: Called with the cases that were decided and their number.

    Raises:
        Conflict: If there is no such draft.
        PolicyError: If this version cannot read the draft.
    """
    query = select(drafts.c.text).where(drafts.c.id == draft_id)
    text = ledger.transact(lambda connection: connection.execute(query).scalar())
    if text is None:
        msg = "There is no such draft."
        raise Conflict(msg)
    candidate = Policy.from_text(text)
    since = now() - WEEK
    sample = draw_sample(ledger, TimeRange(since, None), MOST_CASES)
    total = len(sample.ids)
    told(0, total)
    read: Iterator[tuple[PastCase, float]] = read_sample(ledger, sample, candidate, base)
    found = try_policy(read, candidate, base, sample.frame, lambda done: told(done, total))
    report = json.dumps(_report(found, base))

    def work(connection: Connection) -> None:
        done = {"trial": "done", "trial_done": total, "trial_total": total, "trial_at": now()}
        connection.execute(
            update(drafts).where(drafts.c.id == draft_id).values(report=report, **done)
        )
        tried = found.backtest.cases
        audit.append(connection, by, "policy.tried", draft_id, cases=tried)

    ledger.transact(work, writes=True)


def _report(found: Trial, base: Policy | None) -> dict[str, Any]:
    tried: Backtest = found.backtest
    before, after = (tried.wrongful_removals(candidate=chosen) for chosen in (False, True))
    changes = {change: count for change, count in tried.changes.items() if change[0] != change[1]}
    return {
        "cases": tried.cases,
        "changed": tried.changed,
        "against": None if base is None else base.version,
        "changes": [
            [old, new, count]
            for (old, new), count in sorted(changes.items(), key=lambda item: -item[1])
        ],
        "wrongful_before": list(before),
        "wrongful_after": list(after),
        "radius": found.radius.to_json(),
        "samples": [
            [one.upload_id, one.before, one.after, one.after_rule, one.review]
            for samples in tried.samples.values()
            for one in samples[:4]
            if one.before != one.after
        ],
    }


def samples_of(ledger: Ledger, report: Mapping[str, Any]) -> list[tuple[Any, ...]]:
    """Give the examples of a report, with titles as lists may show them now.

    Returns:
        For each: the upload, its title (None of a sealed one), its action before, that with the
        draft, the rule that chooses it, and what a reviewer chose.
    """
    # Reports of earlier versions have a title after the upload.
    kept = [(one[0], *one[-4:]) for one in report["samples"]]
    c = cases.c
    query = select(c.upload_id, shown_title()).where(c.upload_id.in_([one[0] for one in kept]))
    titles = ledger.transact(lambda k: {row.upload_id: row.title for row in k.execute(query)})
    return [(one[0], titles.get(one[0]), *one[1:]) for one in kept]


class TrialRunner:
    """A thread that runs the trials that wait, one at a time.

    Args:
        ledger: The ledger.
        base: Gives the policy in force.
    """

    def __init__(self, ledger: Ledger, base: Callable[[], Policy]) -> None:
        self._ledger = ledger
        self._base = base
        self._stopping = threading.Event()
        self._asked = threading.Event()
        self._thread = threading.Thread()

    def start(self) -> None:
        """Start the thread."""
        self._stopping.clear()
        self._thread = threading.Thread(target=self._run, name="policy-trials", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop at the next case; the trial waits for another console."""
        self._stopping.set()
        self._asked.set()
        self._thread.join(_CLOSE_SECONDS)

    def wake(self) -> None:
        """Look at once for a trial that waits."""
        self._asked.set()

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                while not self._stopping.is_set() and self.step():
                    pass
            except QuorumError as error:
                _log.warning("%s", error)
            except Exception:
                _log.exception("a trial of a policy failed, and the console goes on")
            self._asked.wait(_LOOK_SECONDS)
            self._asked.clear()

    def step(self) -> bool:
        """Run the trial that waits for the longest time; False if none does."""
        taken = self._ledger.transact(_take, writes=True)
        if taken is None:
            return False
        draft_id, by = taken
        try:
            run_backtest(self._ledger, draft_id, by, self._base(), self._teller(draft_id))
        except _Stopped:
            self._put(draft_id, trial="waiting")
        except QuorumError as error:
            self._put(draft_id, trial="failed", trial_error=str(error)[:2000])
        except Exception as error:
            self._put(draft_id, trial="failed", trial_error=f"{type(error).__name__}; see the log")
            _log.exception("the trial of a draft failed")
        return True

    def _put(self, draft_id: str, **values: Any) -> None:
        mine = drafts.c.id == draft_id, drafts.c.trial == "running"
        self._ledger.transact(
            lambda connection: connection.execute(update(drafts).where(*mine).values(**values)),
            writes=True,
        )

    def _teller(self, draft_id: str) -> Callable[[int, int], None]:
        """Writes how far the trial is, each second, and rests."""
        told = began = time.monotonic()

        def tell(done: int, total: int) -> None:
            nonlocal told, began
            if self._stopping.is_set():
                raise _Stopped
            at = time.monotonic()
            if done % _LOT == 0 and done:
                self._stopping.wait(min(_REST_SECONDS, at - began))
                began = time.monotonic()
            if done == 0 or at - told > _TELL_SECONDS:
                told = at
                self._put(draft_id, trial_done=done, trial_total=total, trial_at=now())

        return tell


def _take(connection: Connection) -> tuple[str, str] | None:
    """Take the trial that waits for the longest time, or whose console went away."""
    d = drafts.c
    lost = (d.trial == "running") & (d.trial_at < now() - _LOST)
    query = select(d.id, d.trial, d.trial_at, d.trial_by).where(or_(d.trial == "waiting", lost))
    row = connection.execute(query.order_by(d.trial_at).limit(1)).first()
    if row is None:
        return None
    same = d.id == row.id, d.trial == row.trial, d.trial_at == row.trial_at
    done = connection.execute(
        update(drafts).where(*same).values(trial="running", trial_at=now(), trial_done=0)
    )
    return (row.id, row.trial_by or "") if done.rowcount == 1 else None
