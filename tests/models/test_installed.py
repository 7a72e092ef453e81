from importlib.metadata import EntryPoint

import pytest

from quorum.core.errors import ConfigurationError
from quorum.core.settings import DetectorSettings, Settings
from quorum.models import installed as registry
from quorum.models.detectors import Detector
from quorum.models.spam.detector import SpamDetector


class Raising(SpamDetector):
    name = "raising"

    @classmethod
    def from_settings(cls, settings):
        raise ZeroDivisionError("no luck")


class Other(Detector):
    name = "another-name"


NOT_A_DETECTOR = 3


@pytest.fixture
def entries(monkeypatch):
    made = [
        EntryPoint("spam", "quorum.models.spam.detector:SpamDetector", registry.GROUP),
        EntryPoint("raising", f"{__name__}:Raising", registry.GROUP),
        EntryPoint("other", f"{__name__}:Other", registry.GROUP),
        EntryPoint("number", f"{__name__}:NOT_A_DETECTOR", registry.GROUP),
        EntryPoint("gone", "no.such.module:Thing", registry.GROUP),
    ]
    monkeypatch.setattr(registry, "entry_points", lambda group: list(made))
    registry._loaded.clear()
    yield made
    registry._loaded.clear()


def chosen(*names):
    return Settings(detectors={name: DetectorSettings() for name in names})


def test_the_members_of_the_ensemble_are_installed():
    assert {"spam", "violence", "copyright"} <= set(registry.installed())


def test_an_unknown_name_gets_a_hint(entries):
    with pytest.raises(ConfigurationError, match=r"no detector named span: did you mean spam\?"):
        registry.selected(chosen("span"))
    with pytest.raises(ConfigurationError, match="no detector named zzz: installed are gone"):
        registry.load_class("zzz")


def test_by_default_all_run_and_settings_choose(entries):
    assert list(registry.selected(Settings())) == ["gone", "number", "other", "raising", "spam"]
    settings = Settings(detectors={"spam": DetectorSettings(shadow=True)})
    assert registry.selected(settings)["spam"].shadow


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("gone", "cannot be imported"),
        ("number", "is not a Detector's class"),
        ("other", "names itself another-name"),
    ],
)
def test_a_broken_plug_in_is_named(entries, name, told):
    with pytest.raises(ConfigurationError, match=told):
        registry.load_class(name)


def test_a_constructor_that_raises_is_named(entries):
    told = "the detector raising cannot be loaded: ZeroDivisionError: no luck"
    with pytest.raises(ConfigurationError, match=told):
        registry.load_detector("raising", Settings())


def test_two_packages_of_one_name_are_refused(entries):
    entries.append(EntryPoint("spam", "other.package:Spam", registry.GROUP))
    with pytest.raises(ConfigurationError, match="two packages install a detector named spam"):
        registry.installed()


def test_a_detector_is_loaded_once(entries):
    settings = chosen("spam")
    (first,) = [registry.load_detector(name, settings) for name in registry.selected(settings)]
    assert first is registry.load_detector("spam", chosen("spam"))
    assert isinstance(first, SpamDetector)


def test_what_is_set_for_others_loads_nothing_again_and_what_is_released_is_forgotten(entries):
    both = Settings(
        detectors={"spam": DetectorSettings(), "raising": DetectorSettings(timeout=3.0)}
    )
    first = registry.load_detector("spam", chosen("spam"))
    assert registry.load_detector("spam", both) is first
    registry.release(first)
    assert registry.load_detector("spam", both) is not first
