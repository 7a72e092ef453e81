"""The dashboard asks for series and labels that there are, and for all that the processes serve."""

from __future__ import annotations

import json
import re
from asyncio import run
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from quorum.aggregator.policy.policy import Policy
from quorum.core import metrics
from quorum.models.ensemble import Ensemble
from quorum.pipeline.cases.in_state import BoundedCaseDoFn
from quorum.pipeline.moderator import Moderator
from tests.deploy.promql import known_series, labels_of, series_of
from tests.pipeline.doubles import Scripted, policy

DEPLOY = Path(__file__).parents[2] / "deploy"
DASHBOARD = json.loads((DEPLOY / "grafana" / "quorum.json").read_text(encoding="utf-8"))
RULES = YAML(typ="safe").load((DEPLOY / "prometheus" / "quorum.rules.yaml").read_text())
RECORDED = {r["record"] for group in RULES["groups"] for r in group["rules"] if "record" in r}
PANELS: list[dict[str, Any]] = [one for one in DASHBOARD["panels"] if one["type"] != "row"]
ASKED = [
    (f"{panel['title']} {target['refId']}", target["expr"])
    for panel in PANELS
    for target in panel["targets"]
] + [(one["name"], one["expr"]) for one in DASHBOARD["annotations"]["list"]]

#: What the client library adds.
_LIBRARY = {"process_resident_memory_bytes", "process_cpu_seconds_total"}


@pytest.mark.parametrize(("name", "expression"), ASKED, ids=[name for name, _ in ASKED])
def test_a_panel_asks_for_what_there_is(name: str, expression: str) -> None:
    known = known_series() | {key: {"job", "instance"} for key in _LIBRARY}
    known |= {recorded: {"job", "rule"} for recorded in RECORDED}
    found = series_of(expression)
    assert found
    assert found <= set(known)
    assert labels_of(expression) <= set().union(*(known[one] for one in found))
    assert expression.count("(") == expression.count(")")


def test_what_a_process_serves_is_what_the_dashboard_asks_of_it() -> None:
    served = set()
    for metric, _ in metrics.FAMILIES.values():
        if metric._labelnames:
            metric.labels(*("some" for _ in metric._labelnames))
    for process in metrics.PROCESSES:
        text = metrics.page(process, {})[0].decode()
        served |= set(re.findall(r"^(\w+)[{ ]", text, re.MULTILINE))
    asked = set().union(*(series_of(expression) for _, expression in ASKED))
    assert asked - RECORDED <= served


def _by_cases(rules: Policy) -> None:
    step = BoundedCaseDoFn(rules)
    step.setup()
    step.teardown()


def _by_uploads(rules: Policy) -> None:
    Moderator(policy=rules, ensemble=Ensemble.of([Scripted("alpha")])).close()


async def _by_requests(rules: Policy) -> None:
    pytest.importorskip("fastapi", reason="needs quorum-moderation[web]")
    from quorum.apps.web.service import Service

    await Service(rules, Ensemble.of([Scripted("alpha")])).close()


@pytest.mark.parametrize(
    ("process", "begin"),
    [("decide", _by_cases), ("batch", _by_uploads), ("serve", lambda p: run(_by_requests(p)))],
    ids=["stream and decide", "batch", "serve"],
)
def test_the_policy_that_decides_is_shown_though_no_releases_are_followed(
    process: str, begin: Callable[[Policy], None]
) -> None:
    rules = policy(name=f"of-{process}")
    (panel,) = [one for one in PANELS if one["title"] == "Policies that decide"]
    assert {name for one in panel["targets"] for name in series_of(one["expr"])} == {
        "quorum_policy"
    }
    shown = f'quorum_policy{{version="{rules.version}"}} 1.0'
    assert shown not in metrics.page(process, {})[0].decode()
    begin(rules)
    assert shown in metrics.page(process, {})[0].decode().splitlines()


def test_each_family_is_on_the_dashboard_or_a_detail_of_one_that_is() -> None:
    asked = " ".join(expression for _, expression in ASKED)
    absent = {name for name in metrics.FAMILIES if not re.search(rf"\b{name}(_|\b)", asked)}
    assert absent == {
        "quorum_deadline_ratio",  # of verdicts by decided_by
        "quorum_endpoint_cached",
        "quorum_endpoint_seconds",
        "quorum_rule_verdicts",  # by the rules of Prometheus
    }


def test_each_legend_names_labels_that_its_query_leaves() -> None:
    for panel in PANELS:
        for target in panel["targets"]:
            expression = target["expr"]
            named = set(re.findall(r"\{\{(\w+)\}\}", target["legendFormat"]))
            grouped = re.findall(r"\bby \(([^)]*)\)", expression)
            kept = {label for one in grouped for label in re.findall(r"\w+", one)}
            if grouped:
                assert named <= kept, panel["title"]
            else:
                known = known_series() | {recorded: {"job", "rule"} for recorded in RECORDED}
                known |= {key: {"job", "instance"} for key in _LIBRARY}
                assert named <= set().union(*(known[one] for one in series_of(expression)))


def test_panels_have_places_of_their_own() -> None:
    taken = [tuple(one["gridPos"].values()) for one in DASHBOARD["panels"]]
    assert len(set(taken)) == len(taken)
    assert len({one["id"] for one in DASHBOARD["panels"]}) == len(taken)
