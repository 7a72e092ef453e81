"""The page on security: its settings are read, and its ten lines sign what Quorum accepts."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from quorum.core.identity import Admission, Publisher, SigningKey
from quorum.core.messages import Review, now
from quorum.core.settings import load_settings

PAGE = (Path(__file__).parents[2] / "docs" / "security.md").read_text(encoding="utf-8")


def block(language: str) -> str:
    found = re.search(rf"```{language}\n(.*?)```", PAGE, re.S)
    assert found
    return found[1]


def test_the_settings_are_read(tmp_path: Path) -> None:
    file = tmp_path / "settings.yaml"
    file.write_text(block("yaml"), encoding="utf-8")
    publishers = load_settings(file).publishers
    assert set(publishers) == {"platform", "quorum", "audio-team", "console"}
    assert len(publishers["quorum"].keys) == 2


def test_the_lines_sign_as_quorum_does() -> None:
    names: dict[str, Any] = {}
    exec(block("python"), names)
    key = SigningKey.new("console", "k1")
    review = Review(upload_id="u", verdict_id="v", action="allow", reviewer="ada", at=now())
    data, attributes = review.to_bytes(), review.attributes("/test")
    signed = names["sign"](key.text, data, attributes)
    assert signed == key.sign(data, attributes)
    may = {"keys": {"k1": {"public": key.public}}, "streams": ["reviews"]}
    admission = Admission({"console": Publisher.model_validate(may)})
    assert admission.admit(Review, data, signed) == review
