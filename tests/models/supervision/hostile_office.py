"""What a template's processes do that some files take over."""

from __future__ import annotations

import ctypes
import os
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO

from quorum.core.errors import MediaRefused
from quorum.models.features import decoders, reading
from quorum.models.features.decode import Decoded

_true = reading.decode


def prepare() -> None:
    """Nothing is loaded ahead."""


def _decode(path: Path, **options: Any) -> Decoded:
    if path.name == "crash.mp4":
        ctypes.string_at(0)
    if path.name != "hostile.mp4":
        return _true(path, **options)
    got = []
    try:
        socket.create_connection(("127.0.0.1", int(os.environ["QUORUM_TEST_PORT"])), 1.0)
        got.append("network")
    except OSError:
        pass
    try:
        Path(os.environ["QUORUM_TEST_ELSEWHERE"]).write_text("x")
        got.append("writing")
    except OSError:
        pass
    msg = f"it got {got}"
    raise MediaRefused(msg)


def perform(task: Mapping[str, Any], out: BinaryIO) -> None:
    """Read a file with the hostile decoder."""
    reading.decode = _decode
    decoders.perform(task, out)
