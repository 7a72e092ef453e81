"""The examples of the guide are run."""

import re
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from quorum.aggregator.policy.policy import Policy, load_policy
from quorum.aggregator.study.golden import read_golden, run_golden

GUIDE = (Path(__file__).parents[3] / "docs" / "policy.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```yaml\n(.*?)```", GUIDE, re.DOTALL)
YAML_SAFE = YAML(typ="safe", pure=True)


@pytest.mark.parametrize("block", BLOCKS, ids=lambda block: block.split("\n", 1)[0])
def test_each_example_is_valid(block):
    balanced = load_policy("balanced")
    if block.startswith("- name:"):
        (result,) = run_golden(balanced, read_golden(balanced, block))
        assert result.wrong == ()
        return
    if block.startswith("name:"):
        Policy.from_text(block)
        return
    whole = balanced.text
    for key in YAML_SAFE.load(block):
        whole = re.sub(rf"(?ms)^{key}:.*?(?=^\S|\Z)", "", whole)
    if "caps" in block:
        assert "spam-certain" in block
    Policy.from_text(whole + "\n" + block if "caps:" in block else _without_caps(whole) + block)


def _without_caps(text):
    return re.sub(r"(?ms)^caps:.*?(?=^\S|\Z)", "", text) + "\n"


def test_it_names_the_versions_that_ship():
    assert set(re.findall(r"balanced@[0-9a-f]{16}", GUIDE)) == {load_policy("balanced").version}


def test_each_linked_heading_is_there():
    for anchor in re.findall(r"\]\(#([a-z-]+)\)", GUIDE):
        words = anchor.replace("-", " ")
        headings = [re.sub("[^a-z ]", "", h.lower()) for h in re.findall(r"(?m)^#+ (.*)$", GUIDE)]
        assert words in headings, anchor


def test_the_verbs_that_it_names_exist():
    from quorum.apps.cli.policy import app

    names = {
        command.name or command.callback.__name__.replace("_", "-")
        for command in app.registered_commands
    }
    assert set(re.findall(r"quorum policy ([a-z-]+)", GUIDE)) <= names
