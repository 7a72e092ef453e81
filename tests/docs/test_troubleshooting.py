"""Each message that the page on troubleshooting quotes is one that the code gives."""

from __future__ import annotations

import ast
import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "troubleshooting.md"
FOLDERS = ("quorum/core", "quorum/store", "quorum/apps", "models", "aggregator", "pipeline")


def texts() -> set[str]:
    """The texts in the code, with ``…`` where a value stands."""
    found = set()
    files = [file for folder in FOLDERS for file in (ROOT / folder).rglob("*.py")]
    for file in [*files, ROOT / "quorum" / "client.py"]:
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.JoinedStr):
                parts = (
                    part.value if isinstance(part, ast.Constant) else "…" for part in node.values
                )
                found.add("".join(parts))
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                found.add(re.sub(r"%[-.\d]*[sdfr]|\{[^}]*\}", "…", node.value))
    return found


def test_each_message_is_in_the_code():
    quoted = re.findall(r"^\| `([^`]+)`", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    known = "\n".join(" ".join(text.replace("`", "").split()) for text in texts())
    assert len(quoted) > 20
    assert [text for text in quoted if text not in known] == []
