"""Reads the names of PromQL: the series of an expression, and the labels that it speaks of."""

from __future__ import annotations

import re

from quorum.core.metrics import FAMILIES

#: What Prometheus adds to each series.
ADDED = {"job", "instance", "le"}

_WORDS = {"by", "without", "on", "ignoring", "group_left", "group_right", "and", "or", "unless",
          "offset", "bool"}  # fmt: skip
_COMMENT = re.compile(r"#.*")
_STRING = re.compile(r'"[^"]*"')
_SELECTOR = re.compile(r"\{([^}]*)\}")
_RANGE = re.compile(r"\[[^\]]*\]|\boffset\s+\S+")
_GROUP = re.compile(r"\b(?:by|without|on|ignoring|group_left|group_right)\s*\(([^)]*)\)")
_NAME = re.compile(r"[a-zA-Z_:][\w:]*\b(?!\s*\()")
_DOLLAR = re.compile(r"\$\{?\w+\}?")


def _plain(expression: str) -> str:
    return _STRING.sub('""', _COMMENT.sub("", expression))


def series_of(expression: str) -> set[str]:
    """The names of the series of an expression."""
    text = _DOLLAR.sub("", _GROUP.sub("", _RANGE.sub("", _SELECTOR.sub("", _plain(expression)))))
    return set(_NAME.findall(re.sub(r"\b\d[\w.]*", "", text))) - _WORDS


def labels_of(expression: str) -> set[str]:
    """The labels that an expression selects or groups by."""
    text = _plain(expression)
    selected = (re.findall(r"(\w+)\s*(?:=~|!~|!=|=)", one) for one in _SELECTOR.findall(text))
    grouped = (re.findall(r"\w+", one) for one in _GROUP.findall(text))
    return {label for labels in (*selected, *grouped) for label in labels}


def known_series() -> dict[str, set[str]]:
    """By the name of each series that Quorum serves: its labels, with those that are added."""
    known = {}
    for name, (metric, _) in FAMILIES.items():
        suffixes = {"counter": ["_total"], "histogram": ["_bucket", "_sum", "_count"]}
        for suffix in suffixes.get(metric._type, [""]):
            known[name + suffix] = {*metric._labelnames} | ADDED
    return known
