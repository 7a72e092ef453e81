"""Cases of an unbounded stream in the memory of the worker, for engines that keep no checkpoint."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any

from quorum.aggregator.policy.policy import Policy
from quorum.pipeline.cases.dofn import CaseDoFn
from quorum.pipeline.cases.options import CaseOptions
from quorum.pipeline.cases.stored import StoredCase
from quorum.pipeline.cases.table import CaseTable, case_table
from quorum.pipeline.streams.acks import ack_id
from quorum.pipeline.streams.base import Joined, Outgoing

__all__ = ["InMemoryCaseDoFn"]


class InMemoryCaseDoFn(CaseDoFn):
    """Drives the cases of a ``CaseTable``; an element without messages is a timer.

    Args:
        job: The job of the table.
        policy: The policy that decides.
        options: Further options.
    """

    def __init__(self, job: str, policy: Policy, options: CaseOptions | None = None) -> None:
        super().__init__(policy, options)
        self.job = job

    def setup(self) -> None:
        super().setup()
        self._table: CaseTable = case_table(self.job)

    def process(self, element: tuple[str, Joined]) -> Iterable[Any]:
        upload_id, joined = element
        with self._table.locked(upload_id):
            kept = self._table.get(upload_id)
            if isinstance(kept, StoredCase):
                stored = kept
                self._decider.adopt(stored.case)
            else:
                stored = self.restored(kept)
            had_orphans = bool(stored.orphans)
            outputs = list(self._driven(upload_id, stored, joined))
            self._keep(upload_id, stored)
            if stored.orphans or had_orphans:
                self._table.hold_orphans(upload_id, stored.orphans)
            return [one for one in (self._released(upload_id, each) for each in outputs) if one]

    def _driven(self, upload_id: str, stored: StoredCase, joined: Joined) -> Iterator[Any]:
        if joined.messages or joined.predictions:
            yield from self.expire_orphans(stored)
            yield from self.on_joined(stored, joined)
        else:
            yield from self.discard_orphans(stored, self._table.take_evicted(upload_id))
            yield from self.on_timer(stored)

    def _released(self, upload_id: str, output: Any) -> Any:
        """The output that may leave now; None while its acks wait for a verdict's publication."""
        if not isinstance(output, Outgoing):
            return output
        if output.messages:
            self._table.publishing(upload_id)
            return replace(output, ack_ids=(*output.ack_ids, ack_id(self.job, upload_id)))
        return None if self._table.hold_until_published(upload_id, output.ack_ids) else output

    def _keep(self, upload_id: str, stored: StoredCase) -> None:
        when = stored.case.notify_at()
        if when is None:
            self._table.remove(upload_id)
            return
        # Most cases are decided and wait only for late messages; bytes take less memory.
        kept = stored.snapshot() if stored.case.decided else stored
        self._table.put(upload_id, kept, when.timestamp())
