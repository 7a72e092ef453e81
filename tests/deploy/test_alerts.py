"""The alerts name series, labels and runbooks that there are, and fire where they should."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from tests.deploy.promql import known_series, labels_of, series_of

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "deploy" / "prometheus"
RULES = FOLDER / "quorum.rules.yaml"
TESTS = sorted(FOLDER.glob("*.test.yaml"))
PROMTOOL = shutil.which("promtool")

needs_promtool = pytest.mark.skipif(
    PROMTOOL is None, reason="promtool is not installed (Debian's package prometheus)"
)


def read(file: Path) -> Any:
    return YAML(typ="safe").load(file.read_text(encoding="utf-8"))


def rules(kind: str) -> dict[str, dict[str, Any]]:
    every = [rule for group in read(RULES)["groups"] for rule in group["rules"]]
    return {rule[kind]: rule for rule in every if kind in rule}


ALERTS = rules("alert")
RECORDED = rules("record")


def test_the_reader_of_promql_finds_what_is_there() -> None:
    text = 'sum by (job) (rate(a_total{x="b c", y=~"d"}[5m] offset 1h)) / on (z) e:f > 0.5 # g'
    assert series_of(text) == {"a_total", "e:f"}
    assert labels_of(text) == {"job", "x", "y", "z"}


@pytest.mark.parametrize("name", [*ALERTS, *RECORDED])
def test_a_rule_reads_series_and_labels_that_there_are(name: str) -> None:
    expression = (ALERTS | RECORDED)[name]["expr"]
    known = known_series() | {"up": {"job", "instance"}}
    known |= {recorded: {"job", "rule"} for recorded in RECORDED}
    found = series_of(expression)
    assert found
    assert found <= set(known)
    assert labels_of(expression) <= set().union(*(known[one] for one in found))


@pytest.mark.parametrize("name", ALERTS)
def test_an_alert_says_who_is_woken_and_links_to_its_runbook(name: str) -> None:
    alert = ALERTS[name]
    assert alert["labels"]["severity"] in ("page", "ticket")
    url = alert["annotations"]["runbook_url"]
    assert url == "{{ $externalLabels.quorum_docs }}/runbooks.md#" + name.lower()
    page = (ROOT / "docs" / "runbooks.md").read_text(encoding="utf-8")
    _, _, section = page.partition(f"\n## {name}\n")
    begins = "**Page.**" if alert["labels"]["severity"] == "page" else "**Ticket.**"
    assert section.strip().startswith(begins)


def test_each_runbook_is_of_an_alert() -> None:
    page = (ROOT / "docs" / "runbooks.md").read_text(encoding="utf-8")
    assert re.findall(r"^## (\w+)$", page, re.MULTILINE) == list(ALERTS)


def test_each_alert_is_tested() -> None:
    tested = {
        each["alertname"]
        for file in TESTS
        for test in read(file)["tests"]
        for each in test["alert_rule_test"]
        if each["exp_alerts"]
    }
    assert tested == set(ALERTS)


@needs_promtool
@pytest.mark.parametrize("file", TESTS, ids=lambda file: file.name)
def test_the_alerts_fire_where_they_should(file: Path) -> None:
    done = subprocess.run(
        [str(PROMTOOL), "test", "rules", file.name], cwd=FOLDER, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr


@needs_promtool
def test_prometheus_takes_the_configuration() -> None:
    for words in (["check", "rules", RULES.name],
                  ["check", "config", "--syntax-only", "prometheus.yaml"]):  # fmt: skip
        done = subprocess.run([str(PROMTOOL), *words], cwd=FOLDER, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
    assert "quorum_docs" in read(FOLDER / "prometheus.yaml")["global"]["external_labels"]


DOCS = sorted(
    [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "deploy").rglob("*.md"),
     *(ROOT / "benchmarks").rglob("*.md"), *(ROOT / "examples").rglob("*.md")]
)  # fmt: skip


def test_no_page_names_a_series_that_there_is_not() -> None:
    known = set(known_series()) | set(RECORDED)
    # A page may speak of a histogram as a whole.
    known |= {name.removesuffix("_bucket") for name in known if name.endswith("_bucket")}
    wrong = {}
    for page in DOCS:
        if page.name == "CHANGELOG.md":
            continue  # it names what there was
        text = page.read_text(encoding="utf-8")
        named = re.findall(r"(?<![\w./])((?:job\w*:)?quorum_[a-z_]+(?::\w+)?)", text)
        if (
            unknown := {one for one in named if one.startswith(("quorum_", "job"))}
            - known
            - _OTHERS
        ):
            wrong[str(page.relative_to(ROOT))] = unknown
    assert wrong == {}


#: Names of other things.
_OTHERS = {"quorum_docs", "quorum_moderation"}
