"""What the machine has: Python, libraries, the engine, the emulator, free ports."""

from __future__ import annotations

import os
import platform
import shutil
import socket
import sys
from collections.abc import Iterator
from importlib.util import find_spec

from quorum.apps.doctor.findings import Finding

__all__ = ["machine"]

#: By extra of the package: a module of it, and what does not work without.
_EXTRAS = {
    "web": ("fastapi", "quorum serve"),
    "console": ("argon2", "quorum console"),
    "postgres": ("psycopg", "ledgers in PostgreSQL"),
    "kafka": ("confluent_kafka", "streams on Kafka (kafka://)"),
    "mlflow": ("mlflow", "models of a registry (mlflow:)"),
    "speech": ("moonshine_voice", "spoken words are not judged"),
}

#: By default port: who listens there.
_PORTS = {8080: "quorum serve", 8090: "quorum console", 9464: "metrics and health of a job"}


def machine(*, streams: bool, broker: bool) -> Iterator[Finding]:
    """Examine the machine.

    Args:
        streams: Whether a stream is to run here.
        broker: Whether its broker is the emulator.
    """
    yield _python()
    yield _isolation()
    yield _chromaprint()
    yield from _extras()
    yield _prism(needed=streams)
    yield from _emulator(needed=broker)
    for port, who in _PORTS.items():
        yield _port(port, who)


def _python() -> Finding:
    return Finding.ok("python", f"{platform.python_version()}, {os.cpu_count()} processors")


def _isolation() -> Finding:
    if sys.platform == "linux":
        return Finding.ok("isolation", "detectors run in supervised child processes")
    return Finding.lacking(
        "isolation",
        f"{platform.system()} has no means to end and limit child processes",
        "a detector that hangs or crashes takes other uploads along",
        "run it on Linux, such as in the container",
    )


def _chromaprint() -> Finding:
    from quorum.models.fingerprint.audio import AudioHasher

    if AudioHasher.available():
        return Finding.ok("chromaprint", "sound is compared with the catalogue's works")
    return Finding.lacking(
        "chromaprint",
        "the library is not installed",
        "copies are found by their pictures alone, not by their sound",
        "apt install libchromaprint1, or brew install chromaprint",
    )


def _extras() -> Iterator[Finding]:
    for extra, (module, without) in _EXTRAS.items():
        if find_spec(module) is not None:
            yield Finding.ok(f"extra {extra}", "installed")
        else:
            remedy = f"pip install 'quorum-moderation[{extra}]'"
            yield Finding.lacking(f"extra {extra}", "not installed", without, remedy)


def _prism(*, needed: bool) -> Finding:
    from quorum.pipeline.engines import prism_here

    found, told = prism_here()
    if found is not None:
        return Finding.ok("prism", found)
    return Finding.lacking(
        "prism",
        told,
        "streams on one machine (`quorum stream` on Pub/Sub); the demo runs in one process",
        "let Beam download it at the first run, or name its file in QUORUM_PRISM",
        needed=needed,
    )


def _emulator(*, needed: bool) -> Iterator[Finding]:
    from quorum.pipeline.streams.emulator import find_emulator

    java = shutil.which("java")
    without = "streams without Google Cloud: tests of them skip, the demo runs in one process"
    if java is None:
        remedy = "apt install default-jre-headless"
        yield Finding.lacking("java", "not on the path", without, remedy)
    else:
        yield Finding.ok("java", java)
    command, told = find_emulator()
    if command is not None:
        yield Finding.ok("emulator", told)
    elif not needed:  # one that answers elsewhere is looked for by itself
        yield Finding.lacking(
            "emulator",
            told,
            without,
            "gcloud components install pubsub-emulator, or name its jar in QUORUM_PUBSUB_EMULATOR",
        )


def _port(port: int, who: str) -> Finding:
    with socket.socket() as tried:
        tried.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            tried.bind(("127.0.0.1", port))
        except OSError as error:
            return Finding.lacking(
                f"port {port}",
                f"in use ({error.strerror})",
                f"{who} on its default port, unless it is what runs there",
                "give another port, or end what listens there",
            )
    return Finding.ok(f"port {port}", f"free for {who}")
