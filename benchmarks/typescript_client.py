"""Generate a TypeScript client from ``/openapi.json``, compile it, and let it call the service.

    python -m benchmarks.typescript_client

openapi-generator (its jar, from PyPI) needs Java, the compiler (from npm) needs Node. Exits with
77, and says why, where one of them cannot be had.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NoReturn

from benchmarks.texts import ROOT
from quorum.apps.http.keys import new_key, read_keys
from tests.apps.web.doubles import PATIENT
from tests.apps.web.serving import serving

GENERATOR = "openapi-generator-cli==7.26.0"
COMPILER = "typescript@5.9"
SCRIPT = ROOT / "tests" / "apps" / "web" / "typescript" / "client.ts"

#: The exit status of what could not be run, as Automake has it.
SKIPPED = 77


def skip(reason: str) -> NoReturn:
    """End, and say why nothing was tested."""
    print(reason)
    sys.exit(SKIPPED)


def run(command: list[str]) -> str:
    """Run a command; its standard output.

    Raises:
        SystemExit: If it fails; with what it printed.
    """
    made = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    if made.returncode:
        sys.exit(f"{' '.join(command)}\n{made.stdout}{made.stderr}")
    return made.stdout


def tools(folder: Path) -> tuple[list[str], Path]:
    """The command of the generator, and the compiler's folder of Node modules."""
    if lacking := [name for name in ("java", "node", "npm") if shutil.which(name) is None]:
        skip(f"needs {', '.join(lacking)}")
    uv = shutil.which("uv", path=str(Path(sys.executable).parent)) or shutil.which("uv")
    if uv is None:
        skip("needs uv")
    generator = [uv, "tool", "run", "--quiet", "--from", GENERATOR, "openapi-generator-cli"]
    npm = ["npm", "install", "--no-audit", "--no-fund", "--ignore-scripts", "--prefix"]
    for command in ([*generator, "version"], [*npm, str(folder), COMPILER]):
        try:
            made = subprocess.run(command, capture_output=True, timeout=300, check=False)
        except subprocess.TimeoutExpired:
            skip(f"a registry does not answer: {' '.join(command)}")
        if made.returncode:
            skip(f"no registry within reach? {' '.join(command)} failed")
    return generator, folder / "node_modules"


def main() -> None:
    """Generate, compile, call, and compare what the client read."""
    with tempfile.TemporaryDirectory(prefix="quorum-typescript-") as made:
        folder = Path(made)
        generator, modules = tools(folder)
        secret, line = new_key("shop", frozenset({"moderate", "read"}))
        (folder / "keys").write_text(line)
        (folder / "keys").chmod(0o600)
        with serving(keys=read_keys(folder / "keys"), policy=PATIENT) as service:
            described = folder / "openapi.json"
            described.write_text(json.dumps(service.get("/openapi.json").json()))
            generate = ["generate", "-g", "typescript-fetch", "-i", str(described)]
            run([*generator, *generate, "-o", str(folder / "generated")])
            shutil.copy(SCRIPT, folder)
            compiler = ["node", str(modules / "typescript" / "bin" / "tsc"), "--strict"]
            options = ["--target", "es2022", "--module", "commonjs", "--lib", "es2022,dom"]
            (folder / "node.d.ts").write_text(
                "declare const process: { argv: string[]; exit(code: number): never };\n"
            )
            run([*compiler, *options, str(folder / "client.ts"), str(folder / "node.d.ts")])
            address = str(service.base_url).rstrip("/")
            found = json.loads(run(["node", str(folder / "client.js"), address, secret]))
    check(found)
    print("the generated client compiles, calls, and reads a verdict and a problem")


def check(found: dict[str, object]) -> None:
    """Compare what the client read with what the service's doubles say.

    Raises:
        SystemExit: If anything differs.
    """
    problems = {name: found.pop(name) for name in ("invalid", "unknown", "key")}
    statuses = {name: one["status"] for name, one in problems.items()}  # type: ignore[index]
    expected = {
        "removed": True,
        "at": True,
        "reasons": ["The words are bad (probability 0.95)."],
        "scores": {"words": 0.95, "slow": 0.1},
        "predictions": ["slow", "words"],
        "same": True,
        "batch": ["remove", 422],
        "hook": "remove",
    }
    if found != expected or statuses != {"invalid": 422, "unknown": 404, "key": 401}:
        sys.exit(f"read {found} and {problems}")
    if not all(one["detail"] for one in problems.values()):  # type: ignore[index]
        sys.exit(f"a problem says nothing: {problems}")


if __name__ == "__main__":
    main()
