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
HASHES = (ROOT / "requirements.hashes").read_text(encoding="utf-8")
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


def test_each_pin_has_its_digests():
    """``requirements.hashes`` is of the same versions; mend it with: make lock."""
    pinned = {(name, str(pin.specifier)) for name, found in pins().items() for pin in found}
    hashed = set()
    for entry in re.split(r"(?m)^(?=[A-Za-z0-9])", HASHES):
        if found := re.match(r"([A-Za-z0-9._-]+)(?:\[[^\]]*\])?(==\S+)", entry):
            assert re.search(r"--hash=sha256:[0-9a-f]{64}", entry), found[1]
            hashed.add((canonicalize_name(found[1]), found[2]))
    assert hashed == pinned
    assert "://" not in HASHES


def test_files_of_other_digests_are_told(tmp_path):
    import hashlib
    import runpy

    checker = runpy.run_path(str(ROOT / "deploy" / "verify_hashes.py"))
    for name in ("some_thing-1.0-py3-none-any.whl", "other-thing-2.0.tar.gz", "torch-2.0.whl"):
        (tmp_path / name).write_text(name)
    lock = "".join(
        f"{name}==1.0 \\\n    --hash=sha256:{hashlib.sha256(data.encode()).hexdigest()}\n"
        for name, data in (
            ("some-thing", "some_thing-1.0-py3-none-any.whl"),
            ("other-thing", "other-thing-2.0.tar.gz"),
        )
    )
    digests = checker["known"](lock)
    assert checker["strangers"](digests, tmp_path, set()) == ["torch-2.0.whl"]
    assert checker["strangers"](digests, tmp_path, {"torch"}) == []
    (tmp_path / "other-thing-2.0.tar.gz").write_text("changed")
    assert checker["strangers"](digests, tmp_path, {"torch"}) == ["other-thing-2.0.tar.gz"]
