from __future__ import annotations

import logging
import stat
from pathlib import Path

import pytest
from ruamel.yaml import YAML
from typer.testing import CliRunner

from quorum.apps.cli.keys import app
from quorum.apps.cli.running import open_admission
from quorum.core.errors import ConfigurationError
from quorum.core.identity import SigningKey
from quorum.core.settings import Settings

SUBSCRIPTION, TOPIC = "projects/p/subscriptions/s", "projects/p/topics/t"


@pytest.fixture(autouse=True)
def _no_key_of_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("QUORUM_SIGNING_KEY", raising=False)
    monkeypatch.delenv("QUORUM_SIGNING_KEY_FILE", raising=False)


def run(*args: str) -> tuple[str, str]:
    done = CliRunner().invoke(app, ["new", *args], catch_exceptions=False)
    assert done.exit_code == 0
    return done.stdout, done.stderr


def settings_of(told: str, **rights: object) -> Settings:
    """The settings of the lines that the command prints."""
    data = YAML(typ="safe", pure=True).load(told[told.index("publishers:") :])
    for publisher in data["publishers"].values():
        publisher |= rights
    return Settings.model_validate(data)


def test_a_new_key_is_printed_once_with_the_line_for_the_settings() -> None:
    told, _ = run("quorum")
    key = SigningKey.from_text(told.splitlines()[0])
    (publisher,) = settings_of(told, streams=["verdicts"]).publishers.values()
    assert publisher.keys[key.id].public == key.public
    assert run("quorum")[0].splitlines()[0] != key.text


def test_a_file_is_for_its_owner_and_is_never_overwritten(tmp_path: Path) -> None:
    file = tmp_path / "key"
    told, errors = run("quorum", "--id", "k2", "--to", str(file))
    key = SigningKey.from_text(file.read_text())
    assert (key.publisher, key.id) == ("quorum", "k2")
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert key.text.split(":")[-1] not in told + errors
    with pytest.raises(ConfigurationError, match="File exists"):
        run("quorum", "--to", str(file))
    assert SigningKey.from_text(file.read_text()) == key


def test_a_start_without_publishers_says_in_one_line_what_is_not_protected(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with caplog.at_level(logging.INFO):
        open_admission(Settings(), {"uploads": SUBSCRIPTION, "reviews": None}, {"verdicts": TOPIC})
        open_admission(Settings(), {"uploads": "in.jsonl"}, {"verdicts": "out.jsonl"})
    (line,) = caplog.records
    assert "can send uploads in any name" in line.getMessage()


def test_a_start_with_publishers_needs_a_key_and_someone_to_hear(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    told, _ = run("quorum")
    settings = settings_of(told, streams=["predictions", "verdicts"], detectors=["spam"])
    with pytest.raises(ConfigurationError, match="no key to sign verdicts"):
        open_admission(settings, {}, {"verdicts": TOPIC})
    monkeypatch.setenv("QUORUM_SIGNING_KEY", told.splitlines()[0])
    with pytest.raises(ConfigurationError, match="may publish reviews, which this job reads"):
        open_admission(settings, {"reviews": SUBSCRIPTION}, {"verdicts": TOPIC})
    with pytest.raises(ConfigurationError, match="may not speak for nsfw"):
        open_admission(settings, {}, {"predictions": TOPIC}, ["spam", "nsfw"])
    made = open_admission(
        settings, {"predictions": SUBSCRIPTION}, {"verdicts": TOPIC, "predictions": None}, ["nsfw"]
    )
    assert set(made.publishers) == {"quorum"}
    assert not caplog.records


def test_files_need_no_signatures() -> None:
    told, _ = run("quorum")
    settings = settings_of(told, streams=["verdicts"])
    assert open_admission(settings, {"uploads": "in.jsonl"}, {"verdicts": "out.jsonl"})
