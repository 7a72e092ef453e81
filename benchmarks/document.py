"""A page of measured figures: one section a benchmark, with the machine named."""

from __future__ import annotations

import os
import platform
from datetime import UTC, datetime
from pathlib import Path

__all__ = ["machine", "peak_megabytes", "table", "write_section"]

#: ``QUORUM_BENCHMARKS_PAGE`` names another file, as ``make smoke`` does.
PAGE = Path(
    os.environ.get("QUORUM_BENCHMARKS_PAGE")
    or Path(__file__).resolve().parent.parent / "docs" / "benchmarks.md"
)

_HEAD = """# Benchmarks

Each section is written by the benchmark that it names. Absolute figures are of the machine named
there; the ratios, against a peer measured in the same run, are what carries over.
"""


def machine() -> str:
    """The machine and the versions, in a line."""
    import apache_beam

    model = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        for line in cpuinfo.read_text().splitlines():
            if line.startswith("model name"):
                model = line.split(":", 1)[1].strip()
                break
    pages, size = os.sysconf("SC_PHYS_PAGES"), os.sysconf("SC_PAGE_SIZE")
    return (
        f"{model}, {os.cpu_count()} cores, {pages * size / 2**30:.0f} GiB; {platform.system()}, "
        f"Python {platform.python_version()}, Beam {apache_beam.__version__}; "
        f"{datetime.now(UTC):%Y-%m-%d}"
    )


def peak_megabytes(pid: int | str = "self") -> float:
    """Peak resident memory of a process that still lives, in MiB."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) / 1024
    return 0.0


def table(head: list[str], rows: list[list[str]]) -> str:
    """A Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def write_section(name: str, body: str) -> None:
    """Put a section into ``docs/benchmarks.md`` in place of the one of the same name."""
    text = PAGE.read_text(encoding="utf-8") if PAGE.exists() else _HEAD
    begin, end = f"<!-- {name} -->", f"<!-- end of {name} -->"
    section = f"{begin}\n{body.strip()}\n{end}"
    if begin in text and end in text:
        before, rest = text.split(begin, 1)
        text = before + section + rest.split(end, 1)[1]
    else:
        text = text.rstrip() + "\n\n" + section + "\n"
    PAGE.write_text(text, encoding="utf-8")
