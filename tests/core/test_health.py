"""The registry of health checks: asked at once, named, and safe against a check that fails."""

from collections.abc import Iterator

import pytest

from quorum.core import health


@pytest.fixture(autouse=True)
def only_ours(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(health, "_CHECKS", {})
    yield


def test_no_check_is_no_problem() -> None:
    assert health.problems() == {}


def test_each_check_is_asked_whenever_health_is_asked_for() -> None:
    said: list[str | None] = [None]
    health.register("broker", lambda: said[0])
    assert health.problems() == {}
    said[0] = "it is away"
    assert health.problems() == {"broker": "it is away"}
    said[0] = None
    assert health.problems() == {}


def test_a_check_that_raises_is_a_problem_and_hides_no_other() -> None:
    def broken() -> str | None:
        msg = "no such thing"
        raise KeyError(msg)

    health.register("a", broken)
    health.register("b", lambda: "it is away")
    found = health.problems()
    assert "KeyError" in found["a"]
    assert found["b"] == "it is away"


def test_a_check_ends_and_only_its_own() -> None:
    end_first = health.register("detector spam", lambda: "first")
    end_second = health.register("detector spam", lambda: "second")
    assert health.problems() == {"detector spam": "second"}
    end_first()
    assert health.problems() == {"detector spam": "second"}
    end_second()
    end_second()
    assert health.problems() == {}
