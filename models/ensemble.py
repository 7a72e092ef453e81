"""The ensemble, and the one order in which its detectors score: in stream, batch and web.

With a cascade the detectors stand in two stages. The first stage scores all uploads: by default
the detectors that need text only and ask no server. Where its predictions settle the action of an
upload, the second stage does not score it, and its media is neither fetched nor decoded; its
predictions there are abstentions whose reason begins with
``quorum.core.messages.NOT_ASKED``. The policy decides whether an action is settled
(``quorum.aggregator.decision.settling``). A detector of the first stage that also reads text in
frames scores the upload's own text first; where the media holds more words, it
scores again.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Self

from quorum.core.errors import ConfigurationError
from quorum.core.settings import DetectorSettings, MediaAccess, Settings
from quorum.models.configured import ConfiguredDetector, warm_up
from quorum.models.detectors import Detector, Feature
from quorum.models.installed import load_detector, selected
from quorum.models.pinning import pinned
from quorum.models.plan import Extract, ExtractFurther, Plan, Score, Settled

__all__ = ["Ensemble"]

_TEXT = frozenset({Feature.TEXT, Feature.EMBEDDING})
#: What the first stage leaves to the second: words for which media is decoded.
_WORDS_OF_MEDIA = frozenset({Feature.OCR, Feature.SPEECH})
_MEDIA = frozenset({Feature.FRAMES, Feature.AUDIO, Feature.FINGERPRINT})


class Ensemble:
    """The detectors that run together, and the stages of their cascade.

    Args:
        detectors: The detectors.
        media: Where media may be fetched from.
        cascade: True for the default first stage, or the names of its detectors; False for no
            cascade: then all detectors are of the first stage. See ``Settings.cascade``.

    Attributes:
        detectors: The detectors, by name.
        first: The detectors of the first stage.
        second: The detectors of the second stage.

    Raises:
        ConfigurationError: If the cascade names a detector that is not in the ensemble.
    """

    def __init__(
        self,
        detectors: Iterable[ConfiguredDetector],
        media: MediaAccess,
        cascade: bool | Sequence[str] = False,
    ) -> None:
        self.detectors: Mapping[str, ConfiguredDetector] = {one.name: one for one in detectors}
        self._media = media
        names = _first_stage(tuple(self.detectors.values()), cascade)
        self.first = tuple(one for name, one in self.detectors.items() if name in names)
        self.second = tuple(one for name, one in self.detectors.items() if name not in names)

    @classmethod
    def load(cls, settings: Settings) -> Self:
        """Load the detectors that the settings choose.

        A model reference that may move is pinned to the version that it names now.

        Raises:
            ConfigurationError: If a name is unknown or a setting cannot be used.
            ArtifactError: If a model is absent, altered or of an unknown format.
            EngineUnavailable: If the registry of a model cannot be reached, and no version of the
                model was used here before.
        """
        settings = pinned(settings).with_warnings()
        detectors = [
            ConfiguredDetector.of(load_detector(name, settings), chosen)
            for name, chosen in selected(settings).items()
        ]
        return cls(detectors, settings.media, settings.cascade)

    @classmethod
    def of(cls, detectors: Iterable[Detector], settings: Settings | None = None) -> Self:
        """Make an ensemble of loaded detectors; their settings are found by their names."""
        settings = settings or Settings()
        known = settings.detectors or {}
        configured = [
            ConfiguredDetector.of(detector, known.get(detector.name, DetectorSettings()))
            for detector in detectors
        ]
        return cls(configured, settings.media, settings.cascade)

    def plan(self, settled: Settled) -> Plan:
        """Make the plan by which the ensemble scores.

        Args:
            settled: Decides which uploads the second stage skips.
        """
        if not self.second:
            return Plan(((Extract(self.first, self._media),), tuple(map(Score, self.first))))
        return Plan(
            (
                (Extract(self.first, self._media, without=_WORDS_OF_MEDIA),),
                tuple(map(Score, self.first)),
                (ExtractFurther(self.first, self.second, self._media, settled),),
                (
                    *(Score(detector, rescore=True) for detector in self.first),
                    *map(Score, self.second),
                ),
            )
        )

    def warm_up(self) -> None:
        """Score once, so that no upload waits for what is loaded at first use."""
        warm_up(self.detectors.values(), self._media.speech)

    def close(self) -> None:
        """Release what the detectors hold."""
        for configured in self.detectors.values():
            configured.detector.close()


def _first_stage(
    detectors: Sequence[ConfiguredDetector], cascade: bool | Sequence[str]
) -> frozenset[str]:
    everything = frozenset(one.name for one in detectors)
    if cascade is False:
        return everything
    if cascade is True:
        return frozenset(one.name for one in detectors if _needs_text_only(one)) or everything
    unknown = sorted(set(cascade) - everything)
    if unknown or not cascade:
        problem = f"names {', '.join(unknown)}, which" if unknown else "names no detector, which"
        msg = f"cascade: {problem} does not run here; there are {', '.join(sorted(everything))}"
        raise ConfigurationError(msg)
    return frozenset(cascade)


def _needs_text_only(configured: ConfiguredDetector) -> bool:
    needs = configured.detector.needs
    return bool(needs & _TEXT) and not needs & _MEDIA and not configured.detector.remote
