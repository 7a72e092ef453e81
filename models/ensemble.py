"""The ensemble, and the one order in which its detectors score: in stream, batch and web.

With a cascade the detectors stand in stages. The first stage scores all uploads: by default the
detectors that need text only and ask no server. Where its predictions settle the action of an
upload, the second stage does not score it, and its media is neither fetched nor decoded; its
predictions there are abstentions whose reason begins with
``quorum.core.messages.NOT_ASKED``. The policy decides whether an action is settled
(``quorum.aggregator.decision.settling``). Detectors that ask a server stand in a last stage, which
scores what the others left unsettled. A detector of the first stage that also reads text in frames
scores the upload's own text first; where the frames hold more text, it scores again.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping, Sequence
from typing import Self
from weakref import WeakSet

from quorum.core.errors import ConfigurationError
from quorum.core.settings import DetectorSettings, MediaAccess, Settings
from quorum.models.configured import ConfiguredDetector, warm_up
from quorum.models.detectors import OF_MEDIA, Detector, Feature
from quorum.models.installed import load_detector, release, selected
from quorum.models.pinning import pinned
from quorum.models.plan import Extract, ExtractFurther, Plan, Score, Settle, Settled, Step

__all__ = ["Ensemble"]

_TEXT = frozenset({Feature.TEXT, Feature.EMBEDDING})
#: What the first stage leaves to the second: words for which media is decoded.
_WORDS_OF_MEDIA = frozenset({Feature.OCR, Feature.SPEECH})

#: The ensembles of this process that are not closed: equal settings give them the same detectors.
_open: WeakSet[Ensemble] = WeakSet()
_closing = threading.Lock()


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
        last: The detectors that ask a server, unless they are of the first stage.

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
        others = [one for name, one in self.detectors.items() if name not in names]
        # A detector is loaded to know whether it asks a server; without a cascade it is not.
        self.second = tuple(one for one in others if not one.detector.remote)
        self.last = tuple(one for one in others if one.detector.remote)
        with _closing:
            _open.add(self)

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
            settled: Decides which uploads the later stages skip.
        """
        if not self.second and not self.last:
            return Plan(((Extract(self.first, self._media),), tuple(map(Score, self.first))))
        later = (*self.second, *self.last)
        phases: tuple[tuple[Step, ...], ...] = (
            (Extract(self.first, self._media, without=_WORDS_OF_MEDIA),),
            tuple(map(Score, self.first)),
            (ExtractFurther(self.first, later, self._media, settled),),
            (
                *(Score(detector, rescore=True) for detector in self.first),
                *map(Score, self.second),
            ),
        )
        if self.last:
            phases = (*phases, (Settle(settled),), tuple(map(Score, self.last)))
        return Plan(phases)

    def warm_up(self) -> None:
        """Score once, so that no upload waits for what is loaded at first use."""
        warm_up(self.detectors.values(), self._media.speech)

    def close(self) -> None:
        """Release what the detectors hold, but for those that another open ensemble has, too."""
        with _closing:
            _open.discard(self)
            used = {id(one) for other in _open for one in other._loaded()}
            for detector in self._loaded():
                if id(detector) not in used:
                    release(detector)

    def _loaded(self) -> list[Detector]:
        return [one.detector for one in self.detectors.values() if one.is_loaded]


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
    return bool(needs & _TEXT) and needs.isdisjoint(OF_MEDIA) and not configured.detector.remote
