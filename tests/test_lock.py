"""The lock holds what ``pyproject.toml`` asks for; mend it with: make lock."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
LOCK = (ROOT / "requirements.lock").read_text(encoding="utf-8")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
ASKED = [
    *PROJECT["dependencies"],
    *(each for extra in PROJECT["optional-dependencies"].values() for each in extra),
]


def pins() -> dict[str, list[Requirement]]:
    made: dict[str, list[Requirement]] = {}
    for line in LOCK.splitlines():
        if line and not line.lstrip().startswith("#"):
            pin = Requirement(line)
            made.setdefault(canonicalize_name(pin.name), []).append(pin)
    return made


@pytest.mark.parametrize("asked", ASKED)
def test_each_requirement_is_pinned_within_its_range(asked):
    requirement = Requirement(asked)
    found = pins().get(canonicalize_name(requirement.name))
    if requirement.name == PROJECT["name"]:
        return
    assert found, "run: make lock"
    for pin in found:
        (spec,) = pin.specifier
        assert spec.operator == "=="
        assert requirement.specifier.contains(spec.version), "run: make lock"


def test_the_lock_brings_no_cuda_and_names_no_registry():
    assert not re.search(r"(?m)^(nvidia|cuda|triton)", LOCK)
    assert "://" not in LOCK
    assert not re.search(r"(?m)^\s*-", LOCK)
    assert pins()["torch"] == [Requirement("torch==2.13.0")]
