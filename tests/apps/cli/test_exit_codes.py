"""A command whose detector hangs ends with its own exit code, once it has said what it has to."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from quorum.pipeline.streams.emulator import free_port
from tests.hanging import hanging_environment, install_hanging
from tests.pipeline.doubles import lines, upload


def written(folder: Path, *uploads: bytes) -> str:
    (folder / "in.jsonl").write_bytes(b"\n".join(uploads) + b"\n")
    return str(folder / "in.jsonl")


def quorum(folder: Path, *args: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "quorum", *args],
        env=hanging_environment(folder / "plugin"),
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )


@pytest.mark.parametrize("way", ["sleep", "hold", "torch", "loop"])
def test_moderate_ends_with_its_code_after_a_detector_hung(tmp_path: Path, way: str) -> None:
    options = install_hanging(tmp_path / "plugin")
    file = written(tmp_path, upload("a"), upload("b", title=way))
    done = quorum(tmp_path, "moderate", file, *options)
    assert done.returncode == 0, done.stderr
    assert {json.loads(line)["upload_id"] for line in done.stdout.splitlines()} == {"a", "b"}
    assert "terminate" not in done.stderr


def test_bad_input_keeps_its_code_after_a_detector_hung(tmp_path: Path) -> None:
    options = install_hanging(tmp_path / "plugin")
    file = written(tmp_path, b"nonsense", upload("b", title="torch"))
    done = quorum(tmp_path, "moderate", file, *options)
    assert done.returncode == 65, done.stderr
    assert done.stderr.splitlines()[-1].startswith("quorum: 1 lines")


@pytest.mark.parametrize("way", ["torch", "sleep"])
def test_a_stream_over_files_ends_with_0_after_a_detector_hung(tmp_path: Path, way: str) -> None:
    options = install_hanging(tmp_path / "plugin")
    file = written(tmp_path, upload("a"), upload("b", title=way))
    done = quorum(
        tmp_path,
        *("stream", "--uploads", file, "--verdicts", "out.jsonl"),
        *("--dead-letters", "dead.jsonl", *options),
    )
    assert done.returncode == 0, done.stderr
    assert {line["upload_id"] for line in lines(tmp_path / "out.jsonl")} == {"a", "b"}


STARTING = """
import time
from types import SimpleNamespace
from quorum.pipeline import job
from quorum.pipeline.engine import Engine

def load(_):
    print("loads", flush=True)
    time.sleep(60)

job.shared_supervisor = load
source = SimpleNamespace(bounded=False, in_process=False, subscription=None)
job.run_job(lambda _: None, Engine.PRISM, sources=[source], ensemble=True, drain_seconds=1)
"""


def test_a_stream_that_is_asked_to_stop_while_it_loads_ends_with_0() -> None:
    with subprocess.Popen([sys.executable, "-c", STARTING], stdout=subprocess.PIPE) as job:
        assert job.stdout is not None
        assert job.stdout.readline() == b"loads\n"
        job.send_signal(signal.SIGTERM)
        assert job.wait(50) == 0


def test_batch_ends_with_0_after_a_detector_hung(tmp_path: Path) -> None:
    options = install_hanging(tmp_path / "plugin")
    file = written(tmp_path, upload("a"), upload("b", title="torch"))
    ledger = f"sqlite:///{tmp_path / 'ledger.db'}"
    assert quorum(tmp_path, "ledger", "init", "--database", ledger).returncode == 0
    done = quorum(tmp_path, "batch", "--input", file, "--ledger", ledger, *options)
    assert done.returncode == 0, done.stderr
    assert "terminate" not in done.stderr


def test_batch_ends_with_65_where_every_upload_is_a_dead_letter(tmp_path: Path) -> None:
    ledger = f"sqlite:///{tmp_path / 'ledger.db'}"
    options = install_hanging(tmp_path / "plugin")
    assert quorum(tmp_path, "ledger", "init", "--database", ledger).returncode == 0
    file = written(tmp_path, b"no upload", b"nor this")
    done = quorum(tmp_path, "batch", "--input", file, "--ledger", ledger, *options)
    assert (done.returncode, "Traceback" in done.stderr) == (65, False)
    assert "2 dead letters" in done.stdout
    assert "all 2 uploads are dead letters; the ledger has their errors" in done.stderr


def test_the_web_service_drains_and_ends_with_0_after_a_detector_hung(tmp_path: Path) -> None:
    options = install_hanging(tmp_path / "plugin")
    port = free_port()
    service = subprocess.Popen(
        [sys.executable, "-m", "quorum", "serve", "--port", str(port), *options],
        env=hanging_environment(tmp_path / "plugin"),
        cwd=tmp_path,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False) as client:
            end = time.monotonic() + 60
            while time.monotonic() < end:
                try:
                    client.get("/ready").raise_for_status()
                    break
                except httpx.HTTPError:
                    time.sleep(0.2)
            body = upload("b", title="torch")
            answer = client.post(
                "/v1/moderate",
                content=body,
                headers={"content-type": "application/json"},
                timeout=60,
            )
            assert answer.status_code == 200, answer.text
        service.send_signal(signal.SIGTERM)
        assert service.wait(40) == 0, service.stderr.read() if service.stderr else ""
    finally:
        service.kill()
        service.wait()


def test_a_drain_of_the_web_service_ends_in_time_with_a_request_that_hangs(tmp_path: Path) -> None:
    options = install_hanging(tmp_path / "plugin", timeout=20.0)
    port, limit = free_port(), 6.0
    service = subprocess.Popen(
        [
            *(sys.executable, "-m", "quorum", "serve", "--port", str(port)),
            *("--drain-seconds", f"{limit:g}", *options),
        ],
        env=hanging_environment(tmp_path / "plugin"),
        cwd=tmp_path,
    )
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False) as client:
            end = time.monotonic() + 60
            while time.monotonic() < end:
                try:
                    client.get("/ready").raise_for_status()
                    break
                except httpx.HTTPError:
                    time.sleep(0.2)
            with pytest.raises(httpx.ReadTimeout):
                client.post(
                    "/v1/moderate",
                    content=upload("b", title="sleep"),
                    headers={"content-type": "application/json"},
                    timeout=1.0,
                )
        with ThreadPoolExecutor(1) as pool:
            asking = pool.submit(
                httpx.post,
                f"http://127.0.0.1:{port}/v1/moderate",
                content=upload("c", title="sleep"),
                headers={"content-type": "application/json"},
                timeout=60.0,
                trust_env=False,
            )
            time.sleep(1)
            began = time.monotonic()
            service.send_signal(signal.SIGTERM)
            code = service.wait(60)
            # What ends the process at its limit has two seconds, and this machine is not idle.
            assert time.monotonic() - began < limit + 3
            assert code == 0
            assert asking.exception(60) is not None or asking.result().status_code != 200
    finally:
        service.kill()
        service.wait()
