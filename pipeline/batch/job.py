"""Run one window of a batch as a Beam job, report its progress, and record the run."""

from __future__ import annotations

import json
import tempfile
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import apache_beam as beam
from apache_beam.io.filesystems import FileSystems
from apache_beam.options.pipeline_options import PipelineOptions

from quorum.core import health
from quorum.core.errors import QuorumError
from quorum.core.messages import now
from quorum.pipeline.batch.outputs import Output, refusal
from quorum.pipeline.batch.run import BatchOptions, ModerateBatch, progress, speed
from quorum.pipeline.batch.sources import BatchSource, Range
from quorum.pipeline.batch.tally import Tally
from quorum.pipeline.engine import Engine
from quorum.pipeline.engines import launch
from quorum.store.ledger import Ledger, Run, TimeRange

__all__ = ["BatchJob"]

_REPORT_SECONDS = 5.0

#: Seconds without one more batch of uploads after which a run in this process stands still: many
#: with media take minutes.
STILL_SECONDS = 300.0


class BatchJob:
    """Moderates windows of a source.

    Args:
        source: Where the uploads are.
        options: How they are decided and where that is written.
        engine: The runner.
        parts: Ranges that are read in parallel.
        beam_args: Further Beam options.
        accept_open: Whether Prism may be open to the network.
        report: Receives a line of progress every few seconds.
    """

    def __init__(
        self,
        source: BatchSource,
        options: BatchOptions,
        engine: Engine,
        *,
        parts: int,
        beam_args: Sequence[str],
        accept_open: bool = False,
        report: Callable[[str], None],
    ) -> None:
        self._source, self._options, self._engine = source, options, engine
        self._parts, self._beam_args, self._report = parts, beam_args, report
        self._accept_open = accept_open

    def run(self, span: TimeRange, *, several: bool = False) -> tuple[Run, Tally]:
        """Moderate the uploads of a range of time, and record the run in the ledger.

        Args:
            span: The range.
            several: Whether it is one of several windows, whose outputs are files of their own.

        Raises:
            QuorumError: If the job fails; started again, it resumes where it ended.
        """
        started = now()
        live = self._options.live
        begun_with = self._options.policy if live is None else live.current()
        # Some file systems need the options before there is a pipeline.
        FileSystems.set_options(PipelineOptions(list(self._beam_args)))
        ranges = self._source.ranges(span, self._parts)
        outputs = self._options.outputs
        if several and span.since is not None:
            begin = span.since
            outputs = tuple(output.of_window(begin) for output in outputs)
        size = self._source.size(span)
        # A window without uploads needs no job, unless it has a file to write.
        empty = not ranges or (size == 0 and not outputs)
        tally = Tally() if empty else self._launch(outputs, ranges, size)
        policy = begun_with.version
        run = Run(uuid.uuid4().hex, started, now(), policy, tally.as_json())
        if not self._options.dry_run:
            with Ledger(self._options.ledger) as ledger:
                ledger.record_run(run)
        return run, tally

    def _launch(self, outputs: Sequence[Output], ranges: list[Range], total: int | None) -> Tally:
        extra = self._beam_args
        with tempfile.TemporaryDirectory(prefix="quorum-batch-") as folder:
            out = Path(folder) / "tally.json"
            where = next(
                (e.split("=", 1)[1] for e in extra if e.startswith("--temp_location=")), ""
            )
            path = f"{where.rstrip('/')}/{uuid.uuid4().hex}.json" if where else str(out)

            def build(pipeline: beam.Pipeline) -> None:
                (
                    pipeline
                    | "Batch" >> ModerateBatch(self._source, ranges, self._options, extra, outputs)
                    | "As JSON" >> beam.Map(lambda tally: json.dumps(tally.as_json()))
                    | "Tally" >> beam.io.WriteToText(path, shard_name_template="")
                )

            try:
                with (
                    self._progress(total),
                    launch(
                        build,
                        self._engine,
                        streaming=False,
                        extra=extra,
                        accept_open=self._accept_open,
                    ) as result,
                ):
                    state = result.wait_until_finish()
            except RuntimeError as error:
                if told := refusal(error):
                    raise QuorumError(told) from None
                raise
            if state not in (None, "DONE"):
                msg = f"the run ended as {state}; start it again, and it resumes where it ended"
                raise QuorumError(msg)
            with FileSystems.open(path) as file:
                return Tally.from_json(json.loads(file.read()))

    @contextmanager
    def _progress(self, total: int | None) -> Iterator[None]:
        """Report how far the run is, where it runs in this process."""
        ended = threading.Event()
        started, begun = time.monotonic(), progress.done
        here = self._engine in (Engine.DIRECT, Engine.PRISM)
        uncheck = health.register("batch", _Standstill()) if here else None

        def watch() -> None:
            while not ended.wait(_REPORT_SECONDS):
                at = speed(started, begun, total)
                of = f" of {total:,}" if total is not None else ""
                left = f", {at.left:,.0f} s left" if at.left is not None else ""
                self._report(f"  {at.done:,}{of} uploads, {at.rate:,.0f}/s{left}")

        thread = threading.Thread(target=watch, daemon=True)
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join()
            if uncheck is not None:
                uncheck()


class _Standstill:
    """Why a run in this process stands still; None while it goes on. A check of health."""

    def __init__(self) -> None:
        self._done = progress.done
        self._at = time.monotonic()

    def __call__(self) -> str | None:
        if progress.done != self._done:
            self._done, self._at = progress.done, time.monotonic()
        still = time.monotonic() - self._at
        return f"no upload was decided for {still:.0f} s" if still > STILL_SECONDS else None
