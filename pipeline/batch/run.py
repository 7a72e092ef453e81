"""Moderation of what is there already: uploads of a table or of files, in windows of time.

Each upload is decided as behind a request (``quorum.pipeline.moderator``), and written with its
predictions and its verdict in one transaction. What the ledger has is left alone, so that a run
that was killed goes on where it ended, and a run that is repeated does nothing.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from typing import Any

import apache_beam as beam
from apache_beam.transforms.window import GlobalWindow
from apache_beam.utils.windowed_value import WindowedValue

from quorum.aggregator.decision.facts import Uploader, was_asked
from quorum.aggregator.policy.policy import Policy
from quorum.core import metrics
from quorum.core.errors import MalformedMessage
from quorum.core.messages import DeadLetter, Prediction, Upload, Verdict, now
from quorum.core.settings import Settings
from quorum.models.ensemble import Ensemble
from quorum.models.supervision.shared import shared_supervisor
from quorum.models.supervision.spec import EnsembleSpec
from quorum.pipeline.batch.contents import contents_in_order, is_earlier, is_edit
from quorum.pipeline.batch.outputs import Output
from quorum.pipeline.batch.sources import BatchSource, Found, Range, RefusedRow
from quorum.pipeline.batch.tally import AddUp, Tally
from quorum.pipeline.moderator import Moderator, batches, ensemble_of
from quorum.pipeline.policies.live import LivePolicy
from quorum.store.histories import histories_of
from quorum.store.ledger import Ledger, LedgerCase, Recordable

__all__ = ["BatchOptions", "ModerateBatch", "progress", "speed"]

STAGE = "batch"

#: Uploads that are decided and written together.
BATCH = 256


@dataclass(frozen=True)
class BatchOptions:
    """How a batch is run.

    Attributes:
        ledger: URL of the ledger; None for ``QUORUM_DATABASE``.
        policy: Decides.
        settings: Which detectors, and how.
        dry_run: Decide, and write nothing.
        again: Decide uploads again that have a verdict; only another action is written.
        ensemble: Makes the detectors; by default those that the settings choose.
        shadows: Policies that only watch.
        outputs: Where verdicts and predictions are written beside the ledger.
        live: Follows the policies that are released during the run; None for none. Uploads that
            are written together are decided by one policy.
    """

    policy: Policy
    settings: Settings
    ledger: str | None = None
    dry_run: bool = False
    again: bool = False
    ensemble: Callable[[], Ensemble] | None = None
    shadows: tuple[Policy, ...] = ()
    outputs: tuple[Output, ...] = ()
    live: LivePolicy | None = None

    @cached_property
    def spec(self) -> EnsembleSpec | None:
        """The detectors that the settings choose; None if they are given."""
        if self.ensemble is not None:
            return None
        return ensemble_of(self.settings, (self.policy, *self.shadows))


@dataclass
class _Progress:
    done: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def add(self, count: int) -> None:
        with self.lock:
            self.done += count


#: How many uploads this process has gone through, for who watches a run in this process.
progress = _Progress()


class _Moderate(beam.DoFn):
    """From the JSON of uploads to tallies, with the ledger written on the way."""

    def __init__(self, options: BatchOptions, *, recorded: bool = False) -> None:
        self.options = options
        #: Whether the ledger holds the uploads already.
        self.recorded = recorded

    def setup(self) -> None:
        options = self.options
        self._moderator = Moderator(
            options.settings,
            options.policy,
            options.ensemble() if options.ensemble else None,
            options.shadows,
            None if options.spec is None else shared_supervisor(options.spec),
            options.live,
        )
        self._ledger = Ledger(options.ledger)

    def teardown(self) -> None:
        self._ledger.close()
        self._moderator.close()

    def start_bundle(self) -> None:
        self._rows: list[Found] = []

    def process(self, row: Found) -> Iterator[Any]:
        self._rows.append(row)
        if len(self._rows) >= BATCH:
            tally, copies = self._flush()
            yield tally
            for kind, message in copies:
                yield beam.pvalue.TaggedOutput(kind, message)

    def finish_bundle(self) -> Iterator[Any]:
        if self._rows:
            at, windows = GlobalWindow().max_timestamp(), (GlobalWindow(),)
            tally, copies = self._flush()
            yield WindowedValue(tally, at, windows)
            for kind, message in copies:
                yield beam.pvalue.TaggedOutput(kind, WindowedValue(message, at, windows))

    def _flush(self) -> tuple[Tally, list[tuple[str, bytes]]]:
        """Decide the rows so far; what they came to, and the messages for the outputs."""
        rows, self._rows = self._rows, []
        self._moderator.follow()
        tally = Tally(read=len(rows))
        uploads, letters = self._uploads(rows, tally)
        rounds = contents_in_order(uploads)
        tally.known += len(uploads) - sum(len(one) for one in rounds)
        copies: list[tuple[str, bytes]] = []
        for contents in rounds or [[]]:
            outcome = self._decide(contents, tally, copies)
            if not self.options.dry_run:
                self._ledger.record([*letters, *outcome])
            letters = []
        progress.add(len(rows))
        return tally, copies

    def _uploads(
        self, rows: Sequence[Found], tally: Tally
    ) -> tuple[list[Upload], list[DeadLetter]]:
        uploads: list[Upload] = []
        letters: list[DeadLetter] = []
        for row in rows:
            if isinstance(row, RefusedRow):
                data, why = row.data, row.error
            else:
                try:
                    uploads.append(Upload.accept(row))
                    continue
                except MalformedMessage as error:
                    data, why = row, str(error)
            tally.dead_letter(why)
            metrics.DEAD_LETTERS.labels(STAGE).inc()
            letters += DeadLetter.of(data, {}, STAGE, why, now())
        return uploads, letters

    def _decide(
        self, uploads: list[Upload], tally: Tally, copies: list[tuple[str, bytes]]
    ) -> list[Recordable]:
        cases = self._ledger.get_cases(
            [upload.id for upload in uploads],
            parts=("upload", "predictions", "verdicts", "reviews"),
        )
        past = {case.upload_id: case for case in cases}
        todo = [one for one in uploads if self._is_due(one, past[one.id])]
        tally.known += len(uploads) - len(todo)
        arrived = now()
        by_upload = self._predictions(todo, past)
        at = now()
        due = {upload.id for upload in todo}
        for upload in uploads:
            if upload.id not in due:
                self._copy(copies, past[upload.id].verdict, past[upload.id].predictions)
        histories = histories_of(
            self._ledger, self._moderator.policy, todo, at, self.options.shadows
        )
        outcome: list[Recordable] = []
        for upload in todo:
            predictions = by_upload[upload.id]
            tally.predictions(predictions)
            made = self._verdict(
                past[upload.id], upload, predictions, arrived, at, histories.get(upload.id)
            )
            self._copy(copies, made or past[upload.id].verdict, predictions)
            outcome += predictions if self.recorded else [upload, *predictions]
            if made is None:
                tally.unchanged += 1
                continue
            metrics.count_verdict(made, None)
            tally.verdict(made, upload.published_at.date().isoformat())
            outcome.append(made)
        return outcome

    def _copy(
        self,
        copies: list[tuple[str, bytes]],
        verdict: Verdict | None,
        predictions: Sequence[Prediction],
    ) -> None:
        """Note the messages of one content for the outputs that are asked for."""
        kinds = {output.kind for output in self.options.outputs}
        if "verdicts" in kinds and verdict is not None:
            copies.append(("verdicts", verdict.to_bytes()))
        if "predictions" in kinds:
            copies += [("predictions", one.to_bytes()) for one in predictions]

    def _is_due(self, upload: Upload, past: LedgerCase) -> bool:
        """Whether an upload is to be decided: it, or this content of it, has no verdict yet."""
        if past.verdict is None:
            return True
        if is_earlier(upload, past):
            return False
        return self.options.again or is_edit(upload, past)

    def _predictions(
        self, uploads: list[Upload], past: dict[str, LedgerCase]
    ) -> dict[str, list[Prediction]]:
        """The predictions of all detectors; known ones of the same versions are reused."""
        wanted = {(name, detector.version) for name, detector in self._moderator.detectors.items()}
        by_upload: dict[str, list[Prediction]] = {}
        fresh = []
        for upload in uploads:
            edit = is_edit(upload, past[upload.id])
            known = [
                one
                for one in past[upload.id].predictions
                if (one.detector, one.version) in wanted
                and was_asked(one)
                and (one.digest == upload.digest or (one.digest is None and not edit))
            ]
            if len(known) == len(wanted):
                by_upload[upload.id] = known
            else:
                fresh.append(upload)
        for some in batches(fresh):
            for upload, predictions in zip(some, self._moderator.predict(some), strict=True):
                by_upload[upload.id] = predictions
                for one in predictions:
                    metrics.count_prediction(one)
        return by_upload

    def _verdict(
        self,
        past: LedgerCase,
        upload: Upload,
        predictions: list[Prediction],
        arrived: datetime,
        at: datetime,
        uploader: Uploader | None,
    ) -> Verdict | None:
        """The upload's next verdict; None where its action stays, or a human has decided."""
        decider = self._moderator.decider
        if past.verdict is None or is_edit(upload, past):
            return decider.first(
                upload,
                predictions,
                arrived=arrived,
                at=at,
                uploader=uploader,
                earlier=past.verdicts,
                reviews=past.counted_reviews,
            ).verdict
        if past.current_reviews:
            return None
        return decider.again(upload, predictions, (), past.verdict, at=at, uploader=uploader)


class ModerateBatch(beam.PTransform[beam.pvalue.PBegin, beam.PCollection[Tally]]):
    """From a pipeline's begin to one Tally.

    Args:
        source: Where the uploads come from.
        ranges: The parts of it to read.
        options: How.
        beam_args: Beam's options of the run.
        outputs: Where this run writes the kinds of the options' outputs; by default as those say.
    """

    def __init__(
        self,
        source: BatchSource,
        ranges: Sequence[Range],
        options: BatchOptions,
        beam_args: Sequence[str] = (),
        outputs: Sequence[Output] | None = None,
    ) -> None:
        super().__init__()
        self.beam_args = tuple(beam_args)
        self.outputs = options.outputs if outputs is None else tuple(outputs)
        self.source = source
        self.ranges = list(ranges)
        self.options = options
        _ = options.spec  # here: workers get it, and a bad setting is an error at once

    def expand(self, begin: beam.pvalue.PBegin) -> beam.PCollection[Tally]:
        """See PTransform."""
        moderate = _Moderate(self.options, recorded=self.source.is_ledger(self.options.ledger))
        add_up = AddUp()  # type: ignore[no-untyped-call]
        kinds = sorted({output.kind for output in self.outputs})
        moderated = self.source.rows(begin, self.ranges) | "Moderate" >> beam.ParDo(
            moderate
        ).with_outputs(*kinds, main="tallies")
        for output in self.outputs:
            output.write(moderated[output.kind], self.beam_args)
        tally: beam.PCollection[Tally] = moderated["tallies"] | "Add up" >> beam.CombineGlobally(
            add_up
        )
        return tally


@dataclass(frozen=True, slots=True)
class Speed:
    """How fast a run goes."""

    done: int
    rate: float
    left: float | None


def speed(started: float, begun: int, total: int | None) -> Speed:
    """How many uploads are done since a run started, how many a second, and seconds left."""
    done = progress.done - begun
    rate = done / max(1e-9, time.monotonic() - started)
    left = None if total is None or rate == 0 else max(0.0, (total - done) / rate)
    return Speed(done, rate, left)
