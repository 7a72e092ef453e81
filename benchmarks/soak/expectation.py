"""What an upload's verdict should be: the plain moderator's predictions, and what was added."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from benchmarks.soak.facts import Content, Facts
from benchmarks.soak.history import Published
from quorum.aggregator.decider import Decider
from quorum.aggregator.policy.policy import Policy
from quorum.core.messages import Prediction, Review, Status, Upload, now, prediction_id
from quorum.core.settings import Settings, load_settings
from quorum.pipeline.moderator import Moderator

__all__ = ["Expectation", "is_innocent", "plain_predictions"]

Plain = Mapping[str, Sequence[Prediction]]

#: A madness that ends in time, if nobody ends it before.
_MAY_END = ("memory",)


def is_innocent(content: Content) -> bool:
    """Whether the odd detector is asked for nothing odd."""
    return content.scenario not in ("mad", "answers")


def plain_predictions(contents: Iterable[Content], settings: Path, plugin: Path) -> Plain:
    """What the detectors say of each content, by its key, without stream and faults.

    Args:
        contents: The contents.
        settings: The settings file of the job.
        plugin: The folder of the installed plug-in.
    """
    if str(plugin) not in sys.path:
        sys.path.append(str(plugin))
    every = list(contents)
    loaded: Settings = load_settings(settings)
    assert loaded.detectors is not None
    sane = {name: how for name, how in loaded.detectors.items() if name != "odd"}
    policy = Policy.from_text("name: none\ndetectors:\n  words: {required: true}\nrules: []\n")
    with Moderator(loaded.model_copy(update={"detectors": sane}), policy) as moderator:
        predicted = moderator.predict([one.upload for one in every])
    return {
        content.key: [*predictions, *_odd(content)]
        for content, predictions in zip(every, predicted, strict=True)
    }


def _odd(content: Content) -> list[Prediction]:
    if not is_innocent(content):
        return []
    return [_scored(content.upload, "odd", 0.1)]


def _scored(upload: Upload, detector: str, score: float) -> Prediction:
    return Prediction(
        id=prediction_id(upload.id, detector, "1"),
        upload_id=upload.id,
        detector=detector,
        version="1",
        status=Status.SCORED,
        score=score,
        at=now(),
    )


class Expectation:
    """The actions that an upload may end with.

    Args:
        facts: The history.
        policy: Of the job.
        plain: See ``plain_predictions``.
    """

    def __init__(self, facts: Facts, policy: Policy, plain: Plain) -> None:
        self._facts = facts
        self._decider = Decider(policy)
        self.plain = plain

    def actions(self, content: Content) -> set[str]:
        """The actions of the plain decider over all that counts for a content.

        What became a dead letter may count or not. Where the worker's memory was lost after a
        message was acknowledged with an earlier verdict, the upload may be decided again without
        it, at the same revision: that is in the design.
        """
        others = self._facts.others[content.upload.id]
        alive = [one for one in others if not self._facts.dead.get(one.key)]
        ways: list[Sequence[Published]] = [others, alive]
        seen = self._facts.verdicts[content.upload.id]
        if seen and self._facts.lost_state(content.published, seen[-1].at):
            ways.append([one for one in others if one.stream == "reviews"])
            ways.append(())
        found = {self._action(content, way) for way in ways}
        if not is_innocent(content):
            # It may reach its deadline before any detector of ours has answered.
            found.add(self._action(content, (), own=()))
        if content.kind.split(":", 1)[-1] in _MAY_END:
            whole = (*self.plain[content.key], _scored(content.upload, "odd", 0.1))
            found |= {self._action(content, way, own=whole) for way in ways}
        return found

    def _action(
        self,
        content: Content,
        others: Sequence[Published],
        own: Sequence[Prediction] | None = None,
    ) -> str:
        predictions = list(self.plain[content.key] if own is None else own)
        reviews = []
        for one in others:
            if one.stream == "reviews":
                reviews.append(Review.from_bytes(one.data))
            else:
                predictions.append(Prediction.from_bytes(one.data))
        verdict = self._decider.again(content.upload, predictions, reviews, None, at=now())
        assert verdict is not None
        return str(verdict.action)
