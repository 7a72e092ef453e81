from __future__ import annotations

import logging

import pytest

from quorum.core.settings import MediaAccess
from quorum.models.ensemble import Ensemble
from quorum.models.supervision import shared
from quorum.models.supervision.launcher import InThread
from quorum.models.supervision.spec import EnsembleSpec
from quorum.models.supervision.zygote import Zygote
from tests.apps.web.doubles import Words


@pytest.mark.parametrize(("supported", "kind"), [(True, Zygote), (False, InThread)])
def test_detectors_share_the_process_where_children_cannot_be(
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    supported: bool,
    kind: type[object],
) -> None:
    kinds: list[type[object]] = []
    monkeypatch.setattr(shared, "_ISOLATES", supported)
    monkeypatch.setattr(shared, "Supervisor", lambda launcher, _: kinds.append(type(launcher)))
    monkeypatch.setattr(Zygote, "__init__", lambda *_: None)
    detectors = tuple(Ensemble.of([Words()]).detectors.values())
    with caplog.at_level(logging.WARNING):
        shared.start_supervisor(EnsembleSpec(detectors, MediaAccess()))
    assert kinds == [kind]
    assert ("not isolated" in caplog.text) is not supported
