"""Find the installed detectors, and load those that a deployment runs.

A detector is a package's entry point in the group ``quorum.detectors``; finding it imports
nothing. A detector is loaded once in a process, and shared.
"""

from __future__ import annotations

import difflib
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points

from quorum.core.errors import ConfigurationError, QuorumError
from quorum.core.settings import DetectorSettings, Settings
from quorum.models.detectors import Detector
from quorum.models.registry.descriptions import task_of
from quorum.models.registry.references import is_recipe

__all__ = [
    "GROUP",
    "HASHES",
    "installed",
    "load_class",
    "load_detector",
    "loader",
    "release",
    "selected",
    "shared",
]

#: The group of entry points that a plug-in's package names its detectors in.
GROUP = "quorum.detectors"

#: The detector of listed hashes, which runs where the settings have some.
HASHES = "hashes"

_loading = threading.Lock()
#: The detectors of this process, by name and loader. Models are large: threads and stages share
#: them.
_loaded: dict[tuple[str, str], Detector] = {}


def installed() -> Mapping[str, EntryPoint]:
    """The installed detectors, by name; none is imported.

    Raises:
        ConfigurationError: If two packages install a detector of the same name.
    """
    found: dict[str, EntryPoint] = {}
    for entry in sorted(entry_points(group=GROUP), key=lambda entry: entry.name):
        other = found.get(entry.name)
        if other is not None and other.value != entry.value:
            msg = (
                f"two packages install a detector named {entry.name}: {other.value} and "
                f"{entry.value}; remove one of them"
            )
            raise ConfigurationError(msg)
        found[entry.name] = entry
    return found


def load_class(name: str) -> type[Detector]:
    """Import one detector's class.

    Raises:
        ConfigurationError: If there is none of this name, or it cannot be imported, or it is
            not a detector.
    """
    known = installed()
    if name not in known:
        raise ConfigurationError(_unknown(name, known))
    entry = known[name]
    try:
        made = entry.load()
    except Exception as error:  # a plug-in's import may raise anything
        msg = f"the detector {name} ({entry.value}) cannot be imported: {error}"
        raise ConfigurationError(msg) from error
    if not (isinstance(made, type) and issubclass(made, Detector)):
        msg = f"the entry point {name} = {entry.value} is not a Detector's class"
        raise ConfigurationError(msg)
    if made.name != name:
        msg = f"the entry point {name} = {entry.value} names itself {made.name}; make them one"
        raise ConfigurationError(msg)
    return made


def selected(settings: Settings) -> Mapping[str, DetectorSettings]:
    """The detectors that a deployment runs, with the settings of each, in the order of names.

    Raises:
        ConfigurationError: If the settings name a detector that is not installed.
    """
    known = installed()
    chosen = settings.detectors
    if chosen is None:
        chosen = {name: DetectorSettings() for name in known}
    for name, one in chosen.items():
        if name == HASHES and not settings.hashes.on:
            msg = "the detector hashes needs `hashes` in the settings: lists, or a database"
            raise ConfigurationError(msg)
        kind = one.version_of or name
        if kind not in known and kind != HASHES and not is_recipe(one.model):
            raise ConfigurationError(_unknown(kind, known))
        if one.version_of is not None and (name in known or one.version_of == name):
            msg = (
                f"detectors.{name}: a version of {one.version_of} needs a name that no installed "
                f"detector has, such as {one.version_of}-next"
            )
            raise ConfigurationError(msg)
    if settings.hashes.on:
        # Whoever names a hash list means it to be compared, whatever else runs.
        chosen = {HASHES: DetectorSettings(), **chosen}
    return {name: chosen[name] for name in sorted(chosen)}


@dataclass(frozen=True, slots=True)
class _Loader:
    name: str
    settings: Settings

    def __repr__(self) -> str:
        return f"{self.name} {self.settings.model_dump_json()}"

    def __call__(self) -> Detector:
        return _make(self.name, self.settings)


def loader(name: str, settings: Settings) -> Callable[[], Detector]:
    """What loads a detector as a deployment sets it; can be pickled, and is given to ``shared``."""
    chosen = (settings.detectors or {}).get(name)
    # The settings of other detectors are left out: their change must not load this one again.
    alone = settings.model_copy(update={"detectors": None if chosen is None else {name: chosen}})
    return _Loader(name, alone)


def shared(name: str, load: Callable[[], Detector]) -> Detector:
    """This process's only detector of a name and loader, loaded at the first call.

    Args:
        name: The detector's name.
        load: Makes it; two with the same ``repr`` make the same detector.

    Raises:
        QuorumError: As ``load`` does.
    """
    key = (name, repr(load))
    with _loading:
        if key not in _loaded:
            _loaded[key] = load()
        return _loaded[key]


def load_detector(name: str, settings: Settings) -> Detector:
    """Load one detector as a deployment sets it.

    The same settings of it give the same object, until it is released.

    Raises:
        ConfigurationError: If it is not installed, or a setting of it cannot be used.
        ArtifactError: If its model is absent, altered or of an unknown format.
        EngineUnavailable: If its model is in a registry that cannot be reached.
    """
    return shared(name, loader(name, settings))


def release(detector: Detector) -> None:
    """Close a detector that is not used any more, and remove it from the cache."""
    with _loading:
        for key in [key for key, held in _loaded.items() if held is detector]:
            del _loaded[key]
    detector.close()


def _make(name: str, settings: Settings) -> Detector:
    chosen = (settings.detectors or {}).get(name)
    if chosen is not None and chosen.version_of is not None:
        own = chosen.model_copy(update={"version_of": None})
        alone = settings.model_copy(update={"detectors": {chosen.version_of: own}})
        made = _make(chosen.version_of, alone)
        made.name = name
        return made
    if chosen is not None and is_recipe(chosen.model):
        if task_of(str(chosen.model)) == "policy-prompt":
            from quorum.models.prompt.detector import PolicyPromptDetector

            return PolicyPromptDetector.of(name, settings)
        from quorum.models.huggingface import HuggingFaceDetector

        return HuggingFaceDetector.of(name, settings)
    if name == HASHES and settings.hashes.on:
        from quorum.models.known.detector import KnownHashDetector

        return KnownHashDetector.from_settings(settings)
    kind = load_class(name)
    try:
        return kind.from_settings(settings)
    except QuorumError:
        raise
    except Exception as error:  # a plug-in's constructor may raise anything
        msg = f"the detector {name} cannot be loaded: {type(error).__name__}: {error}"
        raise ConfigurationError(msg) from error


def _unknown(name: str, known: Mapping[str, EntryPoint]) -> str:
    near = difflib.get_close_matches(name, known, n=1)
    hint = f"did you mean {near[0]}? " if near else ""
    return f"no detector named {name}: {hint}installed are {', '.join(known) or 'none'}"
