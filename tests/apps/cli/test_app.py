"""The command line as a user meets it: help, exit codes, one clear line for each error."""

from __future__ import annotations

import ast
import pkgutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

import quorum.apps.cli
from quorum import __version__
from quorum.apps.cli import app, main
from quorum.apps.cli.app import _VERBS, _load
from quorum.pipeline.streams.emulator import free_port
from tests.pipeline.doubles import lines, upload

PUBSUB = ("projects/p/subscriptions/s", "projects/p/topics/v", "projects/p/topics/d")


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Any:
    """``quorum ARGS`` in this process: its exit code and what it printed on standard error."""

    def call(*args: str) -> tuple[int, str]:
        monkeypatch.setattr(sys, "argv", ["quorum", *args])
        monkeypatch.setattr(quorum.apps.cli, "end_process", sys.exit)
        try:
            main()
        except SystemExit as ended:
            code = ended.code
        else:
            code = 0
        told = capfd.readouterr().err
        return (code if isinstance(code, int) else 1 if code else 0), told

    return call


def on_files(folder: Path, *more: str) -> list[str]:
    return [
        *("stream", "--uploads", str(folder / "in.jsonl")),
        *("--verdicts", str(folder / "out.jsonl")),
        *("--dead-letters", str(folder / "dead.jsonl")),
        *more,
    ]


def test_the_help_shows_every_verb_with_an_example() -> None:
    told = CliRunner().invoke(app, ["--help"], terminal_width=400).output
    for verb in _VERBS:
        assert f"[quorum {verb}" in told
    assert "Exit codes" in told


def test_every_module_with_a_command_is_a_verb() -> None:
    modules = {found.name for found in pkgutil.iter_modules(quorum.apps.cli.__path__)}
    folder = Path(quorum.apps.cli.__file__).parent
    with_app = {
        name
        for name in modules - {"app"}
        if "app = verb(" in (folder / f"{name}.py").read_text(encoding="utf-8")
    }
    verbs = {verb.replace("-", "_") for verb in _VERBS}
    helpers = {name for name in with_app if any(name.startswith(f"{verb}_") for verb in verbs)}
    assert with_app - helpers <= verbs
    assert verbs <= modules


def test_no_help_shows_the_sign_that_keeps_its_examples_lines_apart() -> None:
    """In a raw text the sign is two characters, which are printed, and the lines run together."""
    for file in Path(quorum.apps.cli.__file__).parent.glob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef):
                assert "\\b" not in (ast.get_docstring(node) or ""), (file.name, node.name)


def test_each_command_explains_itself_with_an_example() -> None:
    for name in _VERBS:
        verb = _load(name)
        for command in getattr(verb, "commands", {"": verb}):
            one = verb.commands[command] if command else verb
            assert f"quorum {name} {command}".rstrip() in one.help, (name, command)


def test_a_list_of_commands_says_each_whole() -> None:
    told = " ".join(CliRunner().invoke(app, ["policy", "--help"]).output.split())
    assert "two policies, and count their effect on past cases. backtest" in told
    assert "completion" not in told


def test_a_misspelt_verb_is_told_its_name(run: Any) -> None:
    code, told = run("strem")
    assert code == 2
    assert "Did you mean 'stream'?" in told


@pytest.mark.parametrize(
    "verb", ["stream", "detect", "decide", "batch", "moderate", "serve", "console", "topics"]
)
def test_help_imports_neither_beam_nor_torch(verb: str) -> None:
    code = (
        "import sys; from quorum.apps.cli.app import app; from typer.testing import CliRunner\n"
        f"assert CliRunner().invoke(app, [{verb!r}, '--help']).exit_code == 0\n"
        "assert not {'apache_beam', 'torch'} & set(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()


def test_the_version_is_told() -> None:
    made = CliRunner().invoke(app, ["--version"])
    assert (made.exit_code, made.output.strip()) == (0, f"quorum {__version__}")


@pytest.mark.parametrize(
    "args",
    [
        ["nonsense"],
        ["stream"],
        ["stream", "--nonsense"],
        ["stream", "--runner", "spark"],
        ["demo", "--examples"],
        ["topics", "create"],
        ["topics", "create", "--project", "p", "--kafka", "localhost:1"],
    ],
    ids=" ".join,
)
def test_bad_usage_ends_with_2(run: Any, args: list[str]) -> None:
    code, told = run(*args)
    assert code == 2
    assert "Traceback" not in told


def test_a_level_of_logs_that_is_none_is_bad_usage(run: Any, tmp_path: Path) -> None:
    code, told = run(*on_files(tmp_path, "--log-level", "loud"))
    assert code == 2
    assert "debug" in told


@pytest.mark.parametrize(
    ("content", "line"),
    [
        ("detectors:\n  spam: [\n", 3),
        ("detectors: {}\npolicy: [\n  balanced\n", 4),
    ],
)
def test_bad_settings_end_with_78_and_their_line(
    run: Any, tmp_path: Path, content: str, line: int
) -> None:
    (tmp_path / "settings.yaml").write_text(content)
    (tmp_path / "in.jsonl").write_text("")
    code, told = run(*on_files(tmp_path, "--settings", str(tmp_path / "settings.yaml")))
    assert code == 78
    assert told.startswith(f"quorum: {tmp_path / 'settings.yaml'}:{line}: ")
    assert told.count("\n") == 1


def test_a_bad_policy_ends_with_78_and_its_line(run: Any, tmp_path: Path) -> None:
    (tmp_path / "in.jsonl").write_text("")
    (tmp_path / "policy.yaml").write_text("name: mine\ndeadline: soon\n")
    code, told = run(*on_files(tmp_path, "--policy", str(tmp_path / "policy.yaml")))
    assert code == 78
    assert told.startswith(f"quorum: {tmp_path / 'policy.yaml'}:2")


@pytest.mark.parametrize(
    ("uploads", "verdicts", "told"),
    [
        ("absent.jsonl", "out.jsonl", "there is no file"),
        ("nonsense", "out.jsonl", "is not a stream"),
        ("projects/p/topics/t", "out.jsonl", "is a topic"),
        ("in.jsonl", "projects/p/subscriptions/s", "is a subscription"),
    ],
)
def test_a_bad_address_ends_with_78_and_the_mend(
    run: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    uploads: str,
    verdicts: str,
    told: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("in.jsonl").write_text("")
    code, printed = run(
        *("stream", "--uploads", uploads, "--verdicts", verdicts, "--dead-letters", "dead.jsonl"),
        *("--runner", "direct"),
    )
    assert code == 78
    assert told in printed
    assert "Traceback" not in printed


def on_pubsub(*more: str) -> list[str]:
    options = zip(("--uploads", "--verdicts", "--dead-letters"), PUBSUB, strict=True)
    return ["stream", *(each for pair in options for each in pair), *more]


def test_a_broker_that_does_not_answer_ends_with_69(
    run: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from quorum.pipeline.streams import check

    monkeypatch.setattr(check, "_SECONDS", 0.5)
    monkeypatch.setenv("PUBSUB_EMULATOR_HOST", f"127.0.0.1:{free_port()}")
    code, told = run(*on_pubsub())
    assert code == 69
    assert "does not answer" in told
    assert told.count("\n") == 1


def test_an_engine_that_is_not_to_be_had_ends_with_69(
    run: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from quorum.pipeline import engines

    monkeypatch.setattr(engines, "find_prism", lambda: (None, "no Prism"))
    (tmp_path / "in.jsonl").write_text("")
    code, told = run(*on_files(tmp_path, "--runner", "prism"))
    assert code == 69
    assert "QUORUM_PRISM" in told


def test_no_credentials_are_told_in_one_line(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from google.auth.exceptions import DefaultCredentialsError

    from quorum.pipeline.streams import pubsub_clients

    def absent(**_: object) -> None:
        raise DefaultCredentialsError

    monkeypatch.delenv("PUBSUB_EMULATOR_HOST", raising=False)
    monkeypatch.setattr(pubsub_clients, "PublisherClient", absent)
    monkeypatch.setattr(pubsub_clients, "SubscriberClient", absent)
    for args in (
        on_pubsub(),
        on_pubsub("--runner", "direct"),
        ["topics", "create", "--project", "p"],
    ):
        code, told = run(*args)
        assert code == 78
        assert "gcloud auth" in told
        assert told.count("\n") == 1


@pytest.mark.emulator
def test_a_stream_that_is_not_there_ends_with_78_and_how_to_make_it(
    run: Any, emulator: str
) -> None:
    code, told = run(*on_pubsub())
    assert code == 78
    assert "there is no subscription projects/p/subscriptions/s" in told
    assert "quorum topics create --project p" in told


def test_no_job_on_the_port_is_unhealthy(run: Any) -> None:
    code, told = run("health", "--metrics-port", str(free_port()))
    assert code == 1
    assert "no job answers" in told


def command(*args: str) -> list[str]:
    return [sys.executable, "-m", "quorum", *args]


def test_files_from_end_to_end(tmp_path: Path) -> None:
    (tmp_path / "in.jsonl").write_bytes(
        b"\n".join([upload("one"), b"", b"nonsense", upload("two")])
    )
    made = subprocess.run(
        command(*on_files(tmp_path, "--log-format", "json")), capture_output=True, check=False
    )
    assert made.returncode == 0, made.stderr.decode()
    assert {each["upload_id"] for each in lines(tmp_path / "out.jsonl")} == {"one", "two"}
    assert len(lines(tmp_path / "dead.jsonl")) == 1
    assert b"Traceback" not in made.stderr


def test_a_run_over_files_that_is_stopped_is_not_taken_for_a_whole_one(tmp_path: Path) -> None:
    (tmp_path / "in.jsonl").write_bytes(b"\n".join(upload(f"u{n}") for n in range(20_000)))
    log = tmp_path / "log"
    with log.open("wb") as out:
        job = subprocess.Popen(command(*on_files(tmp_path)), stderr=out)
    try:
        end = time.monotonic() + 60
        while b"loaded violence" not in log.read_bytes() and time.monotonic() < end:
            time.sleep(0.1)
        time.sleep(0.5)
        assert job.poll() is None
        job.send_signal(signal.SIGTERM)
        assert job.wait(10) != 0
    finally:
        job.kill()
        job.wait()
