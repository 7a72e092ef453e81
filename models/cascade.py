"""Costly detectors only where they can still change the action.

Detectors stand in two lines. The first are asked of all uploads: by default those that look at
words only. Of an upload whose action they settle, the others are not asked, and its media is
neither fetched nor decoded. What stands for their answers says so: an abstention whose reason
begins with ``NOT_ASKED``.

The policy says whether an action is settled (``quorum.aggregator.decision.settling``). The first
state of a detector that also reads words in frames is at the upload's own words; where frames hold
more of them, it states again.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from quorum.core.errors import ConfigurationError
from quorum.core.messages import Prediction, Upload
from quorum.core.settings import MediaAccess
from quorum.models.configured import ConfiguredDetector, needs_of
from quorum.models.detectors import Detector, Feature, Features
from quorum.models.features.extract import Costs, Extractor

__all__ = ["Cascade", "ScoringState", "Settled", "ask", "first_line"]

#: Why the action of an upload is settled, given what was said so far; None where it is not.
Settled = Callable[[Upload, Sequence[Prediction]], str | None]

_WORDS = frozenset({Feature.TEXT, Feature.EMBEDDING})
_EMBEDDING = frozenset({Feature.EMBEDDING})
_OF_MEDIA = frozenset({Feature.FRAMES, Feature.AUDIO, Feature.FINGERPRINT})


@dataclass(frozen=True, slots=True)
class ScoringState:
    """An upload on its way through the two lines.

    Attributes:
        upload: The upload.
        features: What was made of it so far.
        predictions: What was said of it so far.
        settled: Why the second line is not asked; empty if it is.
        more: Whether its media changes what the first line saw of its words.
    """

    upload: Upload
    features: Features
    predictions: tuple[Prediction, ...] = ()
    settled: str = ""
    more: bool = False

    def heard(self, prediction: Prediction) -> ScoringState:
        """With a prediction more; it takes the place of the detector's own earlier one."""
        others = (one for one in self.predictions if one.id != prediction.id)
        return replace(self, predictions=(*others, prediction))


class Cascade:
    """The two lines of an ensemble, and the features of each.

    Args:
        members: The ensemble.
        asked: True for the default first line, or the names of the detectors in it; False for
            no cascade: then the first line is everybody's.
        media: Where media may come from.

    Raises:
        ConfigurationError: If it names a detector that does not run here.
    """

    def __init__(
        self, members: Sequence[ConfiguredDetector], asked: bool | Sequence[str], media: MediaAccess
    ) -> None:
        names = first_line(members, asked)
        self.first = tuple(member for member in members if member.name in names)
        self.second = tuple(member for member in members if member.name not in names)
        needs = needs_of(members)
        if not self.second:
            self._own = Extractor(needs, media)
            return
        own = needs_of(self.first) & (_WORDS | _OF_MEDIA)
        self._kept = own & _OF_MEDIA
        self._own = Extractor(own, media)
        self._rest = Extractor(needs - self._kept - _EMBEDDING, media)
        self._whole = Extractor(needs - self._kept, media)

    @property
    def costs(self) -> list[Costs]:
        """What features have cost: of the first line, and of what came after it."""
        made = [self._own.costs]
        made += [self._rest.costs, self._whole.costs] if self.second else []
        return made

    def begin(self, uploads: Sequence[Upload]) -> list[ScoringState]:
        """Make the features of the first line."""
        made = self._own.extract(uploads)
        return [ScoringState(upload, one) for upload, one in zip(uploads, made, strict=True)]

    def go_on(self, states: Sequence[ScoringState], settled: Settled) -> list[ScoringState]:
        """Ask which are settled, and make of the others all features that are lacking.

        The embedding of an upload's own words is made once.
        """
        if not self.second:
            return list(states)
        found = [replace(one, settled=settled(one.upload, one.predictions) or "") for one in states]
        left = [index for index, one in enumerate(found) if not one.settled]
        embedded = [index for index in left if found[index].features.embedding is not None]
        others = [index for index in left if found[index].features.embedding is None]
        for extractor, indexes in ((self._rest, embedded), (self._whole, others)):
            made = extractor.extract([found[index].upload for index in indexes]) if indexes else []
            for index, features in zip(indexes, made, strict=True):
                before = found[index].features
                kept = self._kept | (_EMBEDDING if extractor is self._rest else frozenset())
                found[index] = replace(
                    found[index],
                    features=_joined(before, features, kept),
                    more=_words(features) != _words(before),
                )
        return found


def first_line(
    members: Sequence[ConfiguredDetector], asked: bool | Sequence[str]
) -> frozenset[str]:
    """The names of the detectors that are asked of every upload; see ``Cascade``."""
    everybody = frozenset(member.name for member in members)
    if asked is False:
        return everybody
    if asked is True:
        return frozenset(one.name for one in members if _is_of_words(one.detector)) or everybody
    unknown = sorted(set(asked) - everybody)
    if unknown or not asked:
        told = f"names {', '.join(unknown)}, which" if unknown else "names no detector, which"
        msg = f"cascade: {told} does not run here; there are {', '.join(sorted(everybody))}"
        raise ConfigurationError(msg)
    return frozenset(asked)


def _is_of_words(detector: Detector) -> bool:
    return bool(detector.needs & _WORDS) and not detector.needs & _OF_MEDIA


def ask(
    member: ConfiguredDetector, states: Sequence[ScoringState], *, again: bool = False
) -> list[ScoringState]:
    """Ask a detector of those that are not settled; of the others it is told that it was not.

    Args:
        member: The detector.
        states: The uploads.
        again: Ask only of those whose media changes what was seen of their words.
    """
    told = list(states)
    open_ = [i for i, one in enumerate(told) if (one.more if again else not one.settled)]
    size = member.settings.max_batch
    for start in range(0, len(open_), size):
        part = open_[start : start + size]
        for index, made in zip(part, member.score([told[i].features for i in part]), strict=True):
            told[index] = told[index].heard(made)
    if not again:
        for index, one in enumerate(told):
            if one.settled:
                told[index] = one.heard(member.spared(one.upload, one.settled))
    return told


def _joined(before: Features, after: Features, kept: frozenset[Feature]) -> Features:
    """Later features, with those that were kept from before."""
    return replace(
        after,
        **{feature.value: getattr(before, feature.value) for feature in kept},
        absent={**after.absent, **{one: why for one, why in before.absent.items() if one in kept}},
        partial={
            **after.partial,
            **{one: why for one, why in before.partial.items() if one in kept},
        },
    )


def _words(features: Features) -> tuple[str, str]:
    """What detectors of words see: the words, or why there are none."""
    if features.text is not None:
        return features.text.normalised, ""
    return "", features.absent.get(Feature.TEXT, "")
