"""The public modules are complete and sorted, and documentation and examples import no others."""

import ast
import importlib
import inspect
import re
import subprocess
import sys
from pathlib import Path

import pytest

from quorum.core import messages as core_messages

ROOT = Path(__file__).parents[1]
FACES = ("quorum.client", "quorum.detectors", "quorum.messages")
PLUGIN = sorted((ROOT / "examples" / "detector-plugin").rglob("*.py"))
PAGES = sorted(
    page
    for page in [ROOT / "README.md", *(ROOT / "docs").rglob("*.md"), *ROOT.glob("models/*/*.md")]
    if "decisions" not in page.parts
)


def order(name: str) -> tuple[int, str]:
    """Constants, classes, functions: the order of ruff's rule RUF022."""
    return (0 if name.isupper() else 1 if name[0].isupper() else 2, name)


@pytest.mark.parametrize("face", FACES)
def test_all_is_sorted_and_complete(face: str) -> None:
    module = importlib.import_module(face)
    assert module.__all__ == sorted(set(module.__all__), key=order)
    for name in module.__all__:
        assert getattr(module, name) is not None
    defined = {
        name
        for name, value in vars(module).items()
        if not name.startswith("_")
        and (inspect.isclass(value) or inspect.isfunction(value))
        and value.__module__.startswith("quorum.")
        # The client is a module with code of its own; what it imports is not its face.
        and (face != "quorum.client" or value.__module__ == face)
    }
    assert defined <= set(module.__all__)


def test_all_messages_are_public() -> None:
    assert set(importlib.import_module("quorum.messages").__all__) == {
        *core_messages.__all__,
        "MalformedMessage",
        "SigningKey",
        "verify_signature",
    }


def test_all_of_the_detector_contract_is_public() -> None:
    contract = importlib.import_module("quorum.models.detectors")
    assert set(contract.__all__) <= set(importlib.import_module("quorum.detectors").__all__)


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'Nothing'"):
        importlib.import_module("quorum.detectors").Nothing  # noqa: B018


def test_the_face_of_detectors_is_cheap_to_import() -> None:
    heavy = ("torch", "sklearn", "transformers", "pytest", "onnxruntime", "apache_beam", "av")
    code = f"import sys, quorum.detectors; print([n for n in {heavy} if n in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT
    )
    assert done.stdout.strip() == "[]"


def private_imports(code: str) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.Import):
            found |= {one.name for one in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found |= (
                {f"quorum.{one.name}" for one in node.names}
                if node.module == "quorum"
                else {node.module}
            )
    return {one for one in found if one.startswith("quorum.") and one not in FACES}


def test_a_private_import_would_be_found() -> None:
    code = "import quorum.models.spam\nfrom quorum import core\nfrom quorum.detectors import Text"
    assert private_imports(code) == {"quorum.models.spam", "quorum.core"}


@pytest.mark.parametrize("file", PLUGIN, ids=lambda file: file.name)
def test_the_example_plugin_imports_public_modules_only(file: Path) -> None:
    assert private_imports(file.read_text(encoding="utf-8")) == set()


def test_the_documentation_imports_public_modules_only() -> None:
    blocks = {
        page: re.findall(r"^```python\n(.*?)^```", page.read_text(encoding="utf-8"), re.M | re.S)
        for page in PAGES
    }
    assert blocks[ROOT / "docs" / "write-a-detector.md"]
    for page, codes in blocks.items():
        # The API reference shows signatures, which are not programs.
        if page.parent.name == "reference":
            continue
        for code in codes:
            assert private_imports(code) == set(), page
