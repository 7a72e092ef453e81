"""Run a detector in isolation: its errors, hangs and invalid findings become failed findings."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any, Protocol

from quorum.core.messages import Prediction, Status, prediction_id
from quorum.models.detectors import Detector, Features, Finding

__all__ = ["is_exhaustion", "predict", "score_safely"]

#: The most characters of an error's text: it may quote the upload.
_MAX_REASON = 300

#: The largest finding, as the JSON of its prediction. Guards the job: a larger one could make a
#: message that the broker refuses, or a case that does not fit its state.
MAX_FINDING_BYTES = 128 * 1024

#: Parts of reasons that name what a process may run out of.
_EXHAUSTION = (
    "MemoryError",
    "bad_alloc",
    "bad allocation",
    "Cannot allocate memory",
    "Too many open files",
)

#: By ``id`` of the detector: the thread that is still stuck in its last call. The thread holds the
#: detector, so that the id cannot become another's while it lives.
_stuck: dict[int, threading.Thread] = {}
_stuck_lock = threading.Lock()


class _Call(threading.Thread):
    """One call of ``score`` on a thread of its own, which may be abandoned."""

    def __init__(self, detector: Detector, batch: Sequence[Features]) -> None:
        super().__init__(name=f"score-{detector.name}", daemon=True)
        self._detector = detector
        self._batch = batch
        self.result: Any = None
        self.error: BaseException | None = None

    def run(self) -> None:
        try:
            self.result = self._detector.score(self._batch)
        except BaseException as error:  # third-party code may raise anything, even SystemExit
            self.error = error


def _described(error: BaseException) -> str:
    text = " ".join(str(error).split())[:_MAX_REASON].encode(errors="replace").decode()
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def _checked(finding: object) -> Finding:
    """The finding if it is valid, else a failed one with the reason."""
    if not isinstance(finding, Finding):
        return Finding.failed(f"the detector returned {type(finding).__name__}, not a finding")
    if finding.status is not Status.SCORED and not (finding.reason and finding.score is None):
        return Finding.failed(f"the detector {finding.status} and did not say why")
    try:
        if finding.status is Status.SCORED and not _is_probability(finding.score):
            return Finding.failed(
                f"the detector gave the score {finding.score!r}, not one of 0 to 1"
            )
        for label, value in finding.labels.items():
            if not isinstance(label, str) or not _is_probability(value):
                return Finding.failed(f"the detector gave the label {label!r} = {value!r}")
            label.encode()  # pydantic writes the keys of a dict without this check
        size = len(_sendable(finding).to_bytes())
    except Exception as error:  # a part of the wrong type, or text that UTF-8 cannot encode
        return Finding.failed(
            f"the detector returned a finding that cannot be sent: {_described(error)}"
        )
    if size > MAX_FINDING_BYTES:
        return Finding.failed(
            f"the detector returned a finding of {size:,} bytes; the limit is {MAX_FINDING_BYTES:,}"
        )
    return finding


def _sendable(finding: Finding) -> Prediction:
    return Prediction.model_validate(
        {"id": "x", "upload_id": "x", "detector": "x", "version": "x", "status": finding.status,
         "score": finding.score, "labels": dict(finding.labels), "evidence": finding.evidence,
         "reason": finding.reason, "usage": finding.usage, "at": "2000-01-01T00:00:00Z"}
    )  # fmt: skip


def _is_probability(value: object) -> bool:
    return (
        isinstance(value, int | float)
        and not isinstance(value, bool)
        and math.isfinite(value)
        and 0.0 <= value <= 1.0
    )


def is_exhaustion(reason: str | None) -> bool:
    """Whether a failure's reason is the lack of memory or of open files in this process."""
    return reason is not None and any(sign in reason for sign in _EXHAUSTION)


def _call(
    detector: Detector, batch: Sequence[Features], timeout: float
) -> tuple[list[Any] | None, str, bool]:
    """Call ``score`` once: its findings, or None, the reason, and whether a retry may help."""
    call = _Call(detector, tuple(batch))  # a tuple: what a detector does to it stays with it
    if timeout == math.inf:
        call.run()
    else:
        call.start()
        call.join(timeout)
    if call.is_alive():
        with _stuck_lock:
            _stuck[id(detector)] = call
        return None, f"timed out after {timeout:g} s", False
    if call.error is not None:
        return None, _described(call.error), True
    try:
        made = list(call.result)
    except Exception as error:  # not a sequence, or one that raises
        return None, f"the detector returned no list of findings: {_described(error)}", True
    if len(made) != len(batch):
        return None, f"the detector returned {len(made)} findings for {len(batch)} uploads", True
    return made, "", False


def score_safely(detector: Detector, batch: Sequence[Features], timeout: float) -> list[Finding]:
    """Score a batch: as many findings as uploads, in the same order. Never raises.

    A batch that raises, or returns the wrong number of findings, is retried upload by upload, so
    that only those that cannot be scored fail. A call that exceeds the timeout is abandoned; while
    its thread still runs, later batches fail at once instead of starting more threads.

    Args:
        detector: The detector.
        batch: Features of the uploads; more than ``Detector.max_batch`` or ``max_frames`` allow
            are scored in parts.
        timeout: Seconds for each part, retries included; infinity to score in this thread, where
            a supervisor keeps the time.

    Returns:
        For each upload the detector's finding, or ``failed`` with the reason.
    """
    findings: list[Finding] = []
    for part in _parts(batch, max(1, detector.max_batch), max(1, detector.max_frames)):
        findings.extend(_score_part(detector, part, timeout))
    return findings


def _parts(batch: Sequence[Features], most: int, framed: int) -> Iterator[list[Features]]:
    """The batch in its order, in parts of at most so many uploads, and so many with frames."""
    part: list[Features] = []
    frames = 0
    for features in batch:
        has = features.frames is not None
        if len(part) == most or (has and frames == framed):
            yield part
            part, frames = [], 0
        part.append(features)
        frames += has
    if part:
        yield part


def _score_part(detector: Detector, batch: Sequence[Features], timeout: float) -> list[Finding]:
    with _stuck_lock:
        thread = _stuck.get(id(detector))
        if thread is not None and thread.is_alive():
            return [Finding.failed("the detector still hangs in an earlier batch")] * len(batch)
        _stuck.pop(id(detector), None)
    end = time.monotonic() + timeout
    made, why, again = _call(detector, batch, timeout)
    if made is not None:
        return [_checked(finding) for finding in made]
    if not again or len(batch) == 1:
        return [Finding.failed(why)] * len(batch)
    findings: list[Finding] = []
    for features in batch:
        left = end - time.monotonic()
        if left <= 0 or (findings and id(detector) in _stuck):
            findings.append(Finding.failed(f"timed out after {timeout:g} s"))
            continue
        single, why, _ = _call(detector, [features], left)
        findings.append(_checked(single[0]) if single is not None else Finding.failed(why))
    return findings


class _Versioned(Protocol):
    @property
    def name(self) -> str: ...

    @property
    def version(self) -> str: ...


def predict(
    detector: _Versioned,
    features: Features,
    finding: Finding,
    at: datetime,
    elapsed: float,
    *,
    shadow: bool = False,
) -> Prediction:
    """Make the prediction of a finding.

    Args:
        detector: The detector, or what is known of it.
        features: The features of the upload.
        finding: The detector's finding.
        at: The time, in UTC.
        elapsed: Seconds of work for this upload.
        shadow: Whether it is only recorded and never decides.
    """
    upload = features.upload
    return Prediction(
        id=prediction_id(upload.id, detector.name, detector.version, upload.digest),
        upload_id=upload.id,
        digest=upload.digest,
        detector=detector.name,
        version=detector.version,
        status=finding.status,
        score=finding.score,
        labels=dict(finding.labels),
        evidence=finding.evidence,
        reason=finding.reason,
        elapsed=max(0.0, elapsed),
        at=at,
        shadow=shadow,
        usage=finding.usage,
    )
