"""The wheel and the sdist hold the package and its data, and what they install works anywhere."""

from __future__ import annotations

import json
import os
import shutil
import site
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

from tests.pipeline.doubles import lines

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

ROOT = Path(__file__).resolve().parent.parent
PLUGIN = ROOT / "examples" / "detector-plugin"
#: What is installed: these folders at the root of the repository are links below ``quorum/``.
SOURCES = ("quorum", "aggregator", "models", "pipeline", "recipes")
USER_MODULES = ("models.py", "pipeline.py", "aggregator.py")


def build(source: Path, out: Path, kind: str) -> Path:
    """Build a copy of ``source`` offline; ``kind`` is "wheel" or "sdist"."""
    code = f"from setuptools import build_meta; print(build_meta.build_{kind}({str(out)!r}))"
    out.mkdir(exist_ok=True)
    made = subprocess.run(
        [sys.executable, "-c", code], cwd=source, capture_output=True, text=True, check=True
    )
    return out / made.stdout.splitlines()[-1]


def names(wheel: Path) -> set[str]:
    with zipfile.ZipFile(wheel) as archive:
        return {name for name in archive.namelist() if ".dist-info/" not in name}


def clean_copy(target: Path) -> Path:
    """The repository without build outputs and caches; links stay links."""
    target.mkdir()
    ignored = shutil.ignore_patterns("__pycache__", "*.egg-info")
    for folder in (*SOURCES, "examples", "tests"):
        shutil.copytree(ROOT / folder, target / folder, symlinks=True, ignore=ignored)
    for file in ("pyproject.toml", "setup.py", "MANIFEST.in", "README.md", "LICENSE"):
        shutil.copy(ROOT / file, target)
    return target


@pytest.fixture(scope="module")
def sdist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sdist")
    return build(clean_copy(folder / "copy"), folder / "out", "sdist")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    return build(clean_copy(folder / "copy"), folder / "out", "wheel")


def test_the_wheel_holds_quorum_alone_with_all_of_its_data(wheel: Path) -> None:
    """Every file below ``quorum/``, links followed, but for the caches."""
    found = names(wheel)
    assert {name.split("/")[0] for name in found} == {"quorum"}
    expected = {
        str((Path(at) / file).relative_to(ROOT))
        for at, _, files in os.walk(ROOT / "quorum", followlinks=True)
        for file in files
        if "__pycache__" not in at
    }
    assert found == expected
    endings = {Path(name).suffix for name in found}
    assert endings >= {".yaml", ".safetensors", ".html", ".css", ".js", ".mako", ".jsonl", ".mkv"}
    assert "quorum/py.typed" in found
    assert any(name.startswith("quorum/store/ledger/migrations/versions/") for name in found)


def test_the_sdist_holds_plain_files_and_no_tests(sdist: Path) -> None:
    with tarfile.open(sdist) as archive:
        members = archive.getmembers()
    assert all(member.isfile() or member.isdir() for member in members)
    roots = {member.name.split("/")[1] for member in members if "/" in member.name}
    assert roots.isdisjoint({"aggregator", "models", "pipeline", "tests", "benchmarks"})


def test_a_wheel_made_of_the_sdist_is_the_same(sdist: Path, wheel: Path, tmp_path: Path) -> None:
    with tarfile.open(sdist) as archive:
        archive.extractall(tmp_path, filter="data")
    (unpacked,) = tmp_path.iterdir()
    again = build(unpacked, tmp_path / "out", "wheel")
    assert names(again) == names(wheel)
    with zipfile.ZipFile(wheel) as one, zipfile.ZipFile(again) as other:
        assert all(one.read(name) == other.read(name) for name in names(wheel))


class Installed:
    """An environment with the wheel and a plug-in, and a user's folder to run commands in."""

    def __init__(self, folder: Path, wheel: Path) -> None:
        environment, self.home = folder / "environment", folder / "home"
        self.bin = environment / "bin"
        subprocess.run([sys.executable, "-m", "venv", "--without-pip", environment], check=True)
        # The dependencies, without what makes this repository importable: a .pth file in a folder
        # that another one names is not read.
        (packages,) = environment.glob("lib/python*/site-packages")
        (packages / "dependencies.pth").write_text("\n".join(site.getsitepackages()) + "\n")
        plugin = shutil.copytree(PLUGIN, folder / "plugin")
        for each in (wheel, build(plugin, folder / "out", "wheel")):
            pip = [sys.executable, "-m", "pip", "--python", str(self.bin / "python")]
            options = ["--quiet", "--no-deps", "--no-index", "--ignore-installed"]
            subprocess.run([*pip, "install", *options, str(each)], check=True)
        self.home.mkdir()
        for name in USER_MODULES:
            (self.home / name).write_text("raise RuntimeError('the user has other plans')\n")
        (self.home / "quorum.yaml").write_text("policy: strict\n")

    def run(self, *command: str) -> subprocess.CompletedProcess[str]:
        # Without a PATH to Java, the demo runs in one process.
        environment = {
            "PATH": str(self.bin),
            "HOME": str(self.home),
            "OMP_NUM_THREADS": "1",
            "HF_HUB_OFFLINE": "1",
        }
        return subprocess.run(
            [str(self.bin / command[0]), *command[1:]],
            cwd=self.home, env=environment, capture_output=True, text=True, check=False,
        )  # fmt: skip


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Installed:
    return Installed(tmp_path_factory.mktemp("installed"), wheel)


#: The console script puts its own folder first on the path of modules, ``-m`` the working folder.
COMMANDS = pytest.mark.parametrize(
    "command", [("quorum",), ("python", "-m", "quorum")], ids=["script", "module"]
)


def test_the_installed_package_is_the_one_that_runs(installed: Installed) -> None:
    made = installed.run("python", "-c", "import quorum; print(quorum.__file__)")
    assert Path(made.stdout.strip()).is_relative_to(installed.bin.parent)


@COMMANDS
def test_moderate_beside_a_users_own_modules(
    installed: Installed, command: tuple[str, ...]
) -> None:
    upload = {"id": "a", "uploader": "u", "title": "Send 1 BTC now and receive 2 BTC back!"}
    upload["published_at"] = "2026-01-31T12:00:00Z"
    (installed.home / "in.jsonl").write_text(json.dumps(upload) + "\n")
    made = installed.run(*command, "moderate", "in.jsonl", "--settings", "quorum.yaml")
    assert made.returncode == 0, made.stderr
    (verdict,) = [json.loads(line) for line in made.stdout.splitlines()]
    assert verdict["policy_version"].startswith("strict")
    scores = {each["detector"]: each.get("score") for each in verdict["predictions"]}
    assert set(scores) == {"copyright", "nsfw", "scam", "spam", "violence"}
    assert scores["scam"] > 0.5


def test_a_stream_over_files_beside_a_users_own_modules(installed: Installed) -> None:
    """Beam's workers, too, find the package and the plug-in."""
    head = (ROOT / "examples" / "uploads.jsonl").read_text().splitlines()[:2]
    (installed.home / "stream.jsonl").write_text("\n".join(head) + "\n")
    made = installed.run(
        *("quorum", "stream", "--uploads", "stream.jsonl", "--verdicts", "out.jsonl"),
        *("--dead-letters", "dead.jsonl", "--predictions", "predictions.jsonl"),
    )
    assert made.returncode == 0, made.stderr
    assert len(lines(installed.home / "out.jsonl")) == 2
    predictions = lines(installed.home / "predictions.jsonl")
    assert "scam" in {each["detector"] for each in predictions}


def test_the_demo_needs_no_clone(installed: Installed) -> None:
    made = installed.run("quorum", "demo")
    assert made.returncode == 0, made.stderr + made.stdout
    assert "61 messages through the detectors and the policy" in made.stdout
    assert not made.stderr, "warnings of libraries are silent"
    assert "Verdicts: 58" in made.stdout
    assert "Dead letters: 2" in made.stdout


@pytest.mark.long
def test_the_demo_as_a_module_beside_a_users_own_modules(installed: Installed) -> None:
    (installed.home / "few").mkdir()
    head = (ROOT / "examples" / "uploads.jsonl").read_text().splitlines()[:2]
    (installed.home / "few" / "uploads.jsonl").write_text("\n".join(head) + "\n")
    made = installed.run("python", "-m", "quorum", "demo", "--examples", "few")
    assert made.returncode == 0, made.stderr + made.stdout
    assert "Verdicts: 2" in made.stdout
