"""Run a detector so that nothing it does harms the stream: the same in stream, batch and web."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from quorum.core.messages import Prediction, Status, prediction_id
from quorum.models.detectors import Detector, Features, Finding

__all__ = ["predict", "score_safely"]

#: An error's own words are kept to this length: they may quote the upload.
_MAX_REASON = 300

#: By ``id`` of the detector: the thread that is still stuck in its last call. The thread holds the
#: detector, so that the id cannot become another's while it lives.
_stuck: dict[int, threading.Thread] = {}
_stuck_lock = threading.Lock()


class _Call(threading.Thread):
    """One call of ``score`` on a thread of its own, which may be given up."""

    def __init__(self, detector: Detector, batch: Sequence[Features]) -> None:
        super().__init__(name=f"score-{detector.name}", daemon=True)
        self._detector = detector
        self._batch = batch
        self.result: Any = None
        self.error: BaseException | None = None

    def run(self) -> None:
        try:
            self.result = self._detector.score(self._batch)
        except BaseException as error:  # it is another's code: even SystemExit
            self.error = error


def _told(error: BaseException) -> str:
    text = " ".join(str(error).split())[:_MAX_REASON]
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def _checked(finding: object) -> Finding:
    """A finding that keeps the contract, or one that says how it was broken."""
    if not isinstance(finding, Finding):
        return Finding.failed(f"the detector returned {type(finding).__name__}, not a finding")
    if finding.status is not Status.SCORED:
        if finding.reason and finding.score is None:
            return finding
        return Finding.failed(f"the detector {finding.status} and did not say why")
    try:
        if not _is_probability(finding.score):
            return Finding.failed(
                f"the detector gave the score {finding.score!r}, not one of 0 to 1"
            )
        for label, value in finding.labels.items():
            if not isinstance(label, str) or not _is_probability(value):
                return Finding.failed(f"the detector gave the label {label!r} = {value!r}")
        Prediction.model_validate(
            {"id": "x", "upload_id": "x", "detector": "x", "version": "x", "status": "scored",
             "score": finding.score, "labels": dict(finding.labels), "evidence": finding.evidence,
             "at": "2000-01-01T00:00:00Z"}
        )  # fmt: skip
    except Exception as error:  # labels or evidence of the wrong type
        return Finding.failed(
            f"the detector returned a finding that cannot be sent: {_told(error)}"
        )
    return finding


def _is_probability(value: object) -> bool:
    return (
        isinstance(value, int | float)
        and not isinstance(value, bool)
        and math.isfinite(value)
        and 0.0 <= value <= 1.0
    )


def _call(
    detector: Detector, batch: Sequence[Features], timeout: float
) -> tuple[list[Any] | None, str, bool]:
    """Call ``score`` once: its findings, or None, why, and whether another try may help."""
    call = _Call(detector, batch)
    call.start()
    call.join(timeout)
    if call.is_alive():
        with _stuck_lock:
            _stuck[id(detector)] = call
        return None, f"timed out after {timeout:g} s", False
    if call.error is not None:
        return None, _told(call.error), True
    try:
        made = list(call.result)
    except Exception as error:  # not a sequence, or one that raises
        return None, f"the detector returned no list of findings: {_told(error)}", True
    if len(made) != len(batch):
        return None, f"the detector returned {len(made)} findings for {len(batch)} uploads", True
    return made, "", False


def score_safely(detector: Detector, batch: Sequence[Features], timeout: float) -> list[Finding]:
    """Score a batch, whatever the detector does: as many findings, in the same order.

    A batch that raises or comes back in the wrong shape is tried again upload by upload, so that
    only those that cannot be scored fail. A call that does not come back within the timeout is
    given up; while its thread is still stuck, later batches fail at once instead of piling up
    more threads.

    Args:
        detector: The detector.
        batch: Features of the uploads; more than ``Detector.max_batch`` are scored in parts.
        timeout: Seconds for a batch (for each part), tries one by one included.

    Returns:
        For each upload what the detector found, or ``failed`` with the reason. Never raises.
    """
    most = max(1, detector.max_batch)
    findings: list[Finding] = []
    for start in range(0, len(batch), most):
        findings.extend(_score_part(detector, batch[start : start + most], timeout))
    return findings


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


def predict(
    detector: Detector,
    features: Features,
    finding: Finding,
    at: datetime,
    elapsed: float,
    *,
    shadow: bool = False,
) -> Prediction:
    """Make the message that tells a finding.

    Args:
        detector: Who found it.
        features: Of which upload.
        finding: What was found.
        at: When, in UTC.
        elapsed: Seconds of work for this upload.
        shadow: Whether it is recorded only, never deciding.
    """
    upload = features.upload.id
    return Prediction(
        id=prediction_id(upload, detector.name, detector.version),
        upload_id=upload,
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
    )
