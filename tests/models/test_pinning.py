"""Which model takes the place of a reference that may move, without a registry."""

from __future__ import annotations

from pathlib import Path

import pytest

from quorum.core.errors import ArtifactError, EngineUnavailable, QuorumError
from quorum.core.settings import DetectorSettings, Settings
from quorum.models import pinning
from quorum.models.configured import choose_detectors
from quorum.models.detectors import Finding
from quorum.models.pinning import Pinned, pinned
from quorum.models.registry.mlflow_registry import ModelVersion
from quorum.models.spam.detector import SpamDetector

ASKED = "mlflow:models:/spam@champion"


def follows(reference: str | None) -> Settings:
    return Settings(
        detectors={
            "spam": DetectorSettings(model=reference),
            "violence": DetectorSettings(model="file:elsewhere"),
        }
    )


def at(number: int) -> Settings:
    return follows(f"mlflow:models:/spam/{number}#{number:016x}")


class Registry:
    """Stands for the server and for the loading: names versions; some cannot be loaded or score."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.number = 1
        self.away = False
        self.damaged: set[int] = set()
        self.silent: set[int] = set()
        self.loads: list[int] = []
        monkeypatch.setattr(pinning, "resolve_version", self.resolve_version)
        monkeypatch.setattr(pinning, "load_detector", self.load)
        monkeypatch.setattr(pinning, "_refused", {})

    def resolve_version(self, reference: str) -> ModelVersion:
        assert reference == ASKED
        if self.away:
            raise EngineUnavailable("the registry cannot be reached")
        return ModelVersion("spam", str(self.number), f"{self.number:016x}")

    def load(self, name: str, settings: Settings) -> SpamDetector:
        model = str((settings.detectors or {})[name].model)
        number = int(model.rpartition("/")[2].partition("#")[0])
        self.loads.append(number)
        if number in self.damaged:
            raise ArtifactError(f"{number} is damaged")
        detector = SpamDetector.__new__(SpamDetector)
        finding = Finding.failed("no luck") if number in self.silent else Finding.scored(0.5)
        detector.needs = frozenset()  # type: ignore[misc]
        detector.score = lambda batch: [finding for _ in batch]  # type: ignore[method-assign]
        return detector


@pytest.fixture
def registry(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Registry:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:1")
    monkeypatch.setenv("QUORUM_CACHE", str(tmp_path / "cache"))
    return Registry(monkeypatch)


def test_what_cannot_move_asks_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    for settings in (Settings(), follows(None), follows("mlflow:models:/spam/3")):
        assert pinned(settings) == Pinned(settings)


def test_an_alias_becomes_its_version_and_the_others_stay(registry: Registry) -> None:
    assert pinned(follows(ASKED)) == Pinned(at(1))
    registry.number = 2
    assert pinned(follows(ASKED)) == Pinned(at(2))
    assert {one.name: one.settings.model for one in choose_detectors(follows(ASKED))} == {
        name: one.model for name, one in (at(2).detectors or {}).items()
    }


@pytest.mark.parametrize("how", ["away", "damaged", "silent"])
def test_the_last_good_version_takes_the_place(
    registry: Registry, how: str, caplog: pytest.LogCaptureFixture
) -> None:
    assert not pinned(follows(ASKED)).stale
    registry.number = 2
    registry.away = how == "away"
    registry.damaged = {2} if how == "damaged" else set()
    registry.silent = {2} if how == "silent" else set()
    made = pinned(follows(ASKED))
    assert made.settings == at(1)
    assert set(made.stale) == {"spam"}
    made.with_warnings()
    assert "spam goes on with its last good model, mlflow:models:/spam/1#" in caplog.text
    loads = registry.loads.count(2)
    assert pinned(follows(ASKED)) == made
    assert registry.loads.count(2) == loads, "it was fetched again a moment later"


@pytest.mark.parametrize("how", ["away", "damaged", "silent"])
def test_without_a_last_good_version_the_reason_is_told(registry: Registry, how: str) -> None:
    registry.away = how == "away"
    registry.damaged = {1} if how == "damaged" else set()
    registry.silent = {1} if how == "silent" else set()
    with pytest.raises(QuorumError, match=r"cannot be reached|is damaged|cannot score"):
        pinned(follows(ASKED))


def test_a_last_good_version_that_is_gone_too_tells_the_first_reason(registry: Registry) -> None:
    pinned(follows(ASKED))
    registry.number, registry.damaged = 2, {1, 2}
    with pytest.raises(ArtifactError, match="2 is damaged"):
        pinned(follows(ASKED))


def test_a_version_that_was_mended_is_taken_after_a_while(
    registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    pinned(follows(ASKED))
    registry.number, registry.damaged = 2, {2}
    assert pinned(follows(ASKED)).stale
    registry.damaged = set()
    assert pinned(follows(ASKED)).stale
    monkeypatch.setattr(pinning, "_REFUSED_SECONDS", 0.0)
    assert pinned(follows(ASKED)) == Pinned(at(2))
