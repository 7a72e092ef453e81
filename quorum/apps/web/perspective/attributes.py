"""Attributes of ``comments:analyze``: what answers each, and its score from a prediction."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from quorum.aggregator.decision.facts import number
from quorum.apps.http.problems import Problem
from quorum.apps.web.perspective.errors import error
from quorum.core.errors import ConfigurationError
from quorum.core.messages import Prediction, Status
from quorum.core.settings import AttributeSource

__all__ = ["SHIPPED", "score_of", "sources_of"]

#: What the shipped detectors answer: ``docs/web.md`` says how well.
SHIPPED: Mapping[str, AttributeSource] = {
    "SPAM": AttributeSource(detector="spam"),
    "THREAT": AttributeSource(detector="violence", label="violence/threat"),
}

#: How the reason of an abstention begins that is due to the language.
_LANGUAGE = "language not covered"


def sources_of(
    chosen: Mapping[str, AttributeSource | None], detectors: Collection[str]
) -> Mapping[str, AttributeSource]:
    """What answers each attribute in a deployment.

    Args:
        chosen: The settings' attributes; None for one that is not to be answered.
        detectors: The detectors that run.

    Raises:
        ConfigurationError: If the settings name a detector that does not run.
    """
    sources = {name: one for name, one in SHIPPED.items() if one.detector in detectors}
    for name, source in chosen.items():
        sources.pop(name, None)
        if source is None:
            continue
        if source.detector not in detectors:
            msg = (
                f"perspective.{name}: no detector {source.detector} runs here; there are "
                f"{', '.join(sorted(detectors)) or 'none'}"
            )
            raise ConfigurationError(msg)
        sources[name] = source
    return sources


def score_of(
    attribute: str,
    source: AttributeSource,
    predictions: Sequence[Prediction],
    *,
    requested: Sequence[str],
    detected: Sequence[str],
) -> float:
    """The score of an attribute.

    Args:
        attribute: Its name.
        source: What answers it.
        predictions: Those of the comment.
        requested: The languages of the request.
        detected: The languages that were detected.

    Raises:
        Problem: If there is no score. That is never a low score: nothing is known.
    """
    made = next((one for one in predictions if one.detector == source.detector), None)
    if made is None:
        raise Problem(504, f"Attribute {attribute} was not scored by the deadline")
    if made.status is Status.FAILED:
        detail = f"Attribute {attribute} could not be scored: {made.reason}"
        raise Problem(503, detail, {"retry-after": "1"})
    if made.status is Status.ABSTAINED:
        raise _abstention(attribute, made.reason or "", requested, detected)
    what, name = ("score", source.detector) if source.label is None else ("label", source.label)
    value = number(what, name, source.detector, made)
    assert value is not None
    return value


def _abstention(
    attribute: str, reason: str, requested: Sequence[str], detected: Sequence[str]
) -> Problem:
    if not reason.startswith(_LANGUAGE):
        return error(f"Attribute {attribute} cannot be scored: {reason}")
    if not requested and list(detected) == ["und"]:
        return error("Unable to detect language", "LANGUAGE_DETECTION_FAILED")
    languages = ", ".join(requested or detected)
    named = {"detectedLanguages": list(detected), "attribute": attribute}
    if requested:
        named["requestedLanguages"] = list(requested)
    return error(
        f"Attribute {attribute} does not support request languages: {languages}",
        "LANGUAGE_NOT_SUPPORTED_BY_ATTRIBUTE",
        languageNotSupportedByAttributeError=named,
    )
