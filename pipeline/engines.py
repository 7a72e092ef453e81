"""Engines: what each of Beam's runners needs, and when a message may be acknowledged on it.

========  ===========================  ==============================================
engine    for                          acknowledged
========  ===========================  ==============================================
prism     streams on one machine       when the verdict is published
direct    files; streams in turns      when the verdict is published
flink     a cluster                    once a checkpoint has it (``in_flight``)
dataflow  Google Cloud                 by the service, at its own checkpoint
========  ===========================  ==============================================
"""

from __future__ import annotations

import logging
import os
import threading
import zipfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import apache_beam as beam
import grpc
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.runners.portability.prism_runner import PrismJobServer
from google.api_core.exceptions import GoogleAPIError
from google.auth.exceptions import GoogleAuthError

from quorum.core.errors import ConfigurationError, EngineUnavailable, QuorumError
from quorum.pipeline.downloads import bounded_download
from quorum.pipeline.engine import Engine
from quorum.pipeline.flink.options import FlinkOptions
from quorum.pipeline.flink.session import flink_session
from quorum.pipeline.prism_guard import guarded_runner
from quorum.pipeline.streams.base import Acknowledge
from quorum.pipeline.worker_pool import worker_pool

__all__ = [
    "DIRECT_RISK",
    "Engine",
    "acknowledge_on",
    "cancel",
    "find_prism",
    "launch",
    "pipeline_options",
    "prism_here",
]

_log = logging.getLogger(__name__)

#: What a user of the direct runner on Pub/Sub must know.
DIRECT_RISK = (
    "the direct runner takes Pub/Sub in turns, each a run of its own that keeps nothing after it: "
    "nothing is lost, but an upload waits for its turn, only this job's detectors count, no review "
    "or late prediction changes a verdict, and removal caps start anew at each turn"
)

#: The SDK's state cache measures every value deeply at each access: 5 to 9 times slower.
_PORTABLE = ["--max_cache_memory_usage_mb=0"]


#: Beam's portable client gives this deadline, in seconds, to the state and message streams of a job
#: too, not only to its requests: with the default of 300, each stream ends as FAILED after five
#: minutes. Ten years; it wins over a value that a user gives.
_JOB_SERVER_TIMEOUT = ["--job_server_timeout=315360000"]


#: What handing a job to an engine raises where the engine, or what it needs, is not there.
_NOT_TAKEN: tuple[type[Exception], ...] = (
    RuntimeError,
    ValueError,
    OSError,
    ImportError,
    grpc.RpcError,
    grpc.FutureTimeoutError,
    GoogleAuthError,
    GoogleAPIError,
)

#: How much of such an error is told.
_ERROR_CHARACTERS = 400

_MENDS = {
    Engine.PRISM: "QUORUM_PRISM names its binary",
    Engine.DIRECT: "See Beam's documentation of this option",
    Engine.FLINK: "See the logs of the JobManager and of the TaskManagers",
    Engine.DATAFLOW: "Dataflow needs the `dataflow` extra, credentials and a project",
}


def acknowledge_on(engine: Engine) -> Acknowledge:
    """When source messages may be acknowledged on an engine."""
    if engine in (Engine.FLINK, Engine.DATAFLOW):
        return Acknowledge.CHECKPOINT
    return Acknowledge.VERDICT


def pipeline_options(
    engine: Engine,
    *,
    streaming: bool,
    extra: Sequence[str] = (),
    prism: str = "",
    worker_pool: str = "",
) -> PipelineOptions:
    """Beam's options for an engine.

    Args:
        engine: The engine.
        streaming: Whether a source is unbounded.
        extra: More options in Beam's own words, which win over these.
        prism: Prism's binary, for Prism.
        worker_pool: Where this process serves workers, for Prism.

    Raises:
        ConfigurationError: If an option that the engine cannot do without is absent.
    """
    args: list[str] = []
    match engine:
        case Engine.PRISM:
            args += [
                *_PORTABLE,
                f"--prism_location={prism}",
                "--prism_log_level=warn",
                # Beam shares one server in a process, even one started without this binary.
                "--experiments=disable_prism_server_singleton",
                "--environment_type=EXTERNAL",
                f"--environment_config={worker_pool}",
            ]
        case Engine.DIRECT:
            args += ["--direct_num_workers=1", "--direct_running_mode=in_memory"]
        case Engine.FLINK:
            args += [
                *_PORTABLE,
                "--max_bundle_time_mills=5",
                "--checkpointing_interval=1000",
                # Else what the last bundle before a checkpoint put out waits for the next bundle of
                # its step (https://github.com/apache/beam/pull/12345 flushes at watermarks alone).
                "--finish_bundle_before_checkpointing",
                # Else no checkpoint outlives the JobManager.
                "--externalized_checkpoints_enabled",
                "--retain_externalized_checkpoints_on_cancellation",
            ]
        case Engine.DATAFLOW:
            _require(extra, "--project", "such as --project=my-project", engine)
            _require(extra, "--region", "such as --region=europe-west1", engine)
            _require(extra, "--temp_location", "a gs:// folder", engine)
            args += ["--experiments=use_runner_v2", "--enable_streaming_engine"]
            # An image for the workers has Quorum in it.
            if not _has(extra, "--sdk_container_image"):
                args.append("--setup_file=./setup.py")
    if streaming:
        args.append("--streaming")
    portable = engine in (Engine.PRISM, Engine.FLINK)
    return PipelineOptions([*args, *extra, *(_JOB_SERVER_TIMEOUT if portable else ())])


def _require(extra: Sequence[str], option: str, example: str, engine: Engine) -> None:
    if not _has(extra, option):
        msg = f"--runner {engine.value} needs {option} ({example}); give it after `--`"
        raise ConfigurationError(msg)


def _has(extra: Sequence[str], option: str) -> bool:
    return any(each == option or each.startswith(f"{option}=") for each in extra)


def find_prism() -> tuple[str | None, str]:
    """Prism's binary: as ``QUORUM_PRISM`` names it, from Beam's cache, or downloaded by Beam.

    Returns:
        Its path, or None; and what was found or is missing, for an error.

    Raises:
        ConfigurationError: If ``QUORUM_PRISM`` names no file, or one that cannot be run.
    """
    if named := os.environ.get("QUORUM_PRISM"):
        if not Path(named).is_file():
            msg = f"QUORUM_PRISM names {named}, which is no file"
            raise ConfigurationError(msg)
        if not os.access(named, os.X_OK) and not zipfile.is_zipfile(named):
            msg = f"QUORUM_PRISM names {named}, which cannot be run; `chmod +x` it"
            raise ConfigurationError(msg)
        return named, named
    try:
        with bounded_download():
            server = PrismJobServer(PipelineOptions([]))
            path = server.local_bin(server.path_to_binary())
    except (RuntimeError, OSError, ValueError) as error:
        return None, f"no Prism, Beam's local streaming engine ({error})"
    return path, path


def prism_here() -> tuple[str | None, str]:
    """Prism's binary if it is on this machine: nothing is downloaded.

    Returns:
        Its path, or None; and what was found or is missing.
    """
    if named := os.environ.get("QUORUM_PRISM"):
        try:
            return find_prism()
        except ConfigurationError as error:
            return None, f"{error} ({named})"
    server = PrismJobServer(PipelineOptions([]))
    name = Path(urlsplit(server.path_to_binary()).path).name.removesuffix(".zip")
    kept = Path(server.BIN_CACHE) / name
    if kept.is_file():
        return str(kept), str(kept)
    return None, "Beam has not downloaded it yet"


def _runner(engine: Engine) -> str:
    match engine:
        case Engine.PRISM:
            return "PrismRunner"
        case Engine.DIRECT:
            return "apache_beam.runners.portability.fn_api_runner.FnApiRunner"
        case Engine.FLINK:
            return "FlinkRunner"
        case Engine.DATAFLOW:
            return "DataflowRunner"


@contextmanager
def launch(
    build: Callable[[beam.Pipeline], None],
    engine: Engine,
    *,
    streaming: bool,
    extra: Sequence[str] = (),
    accept_open: bool = False,
    flink: FlinkOptions | None = None,
) -> Iterator[Any]:
    """Run a graph; yields the running job (a Beam ``PipelineResult``).

    Args:
        build: Puts the graph on the pipeline.
        engine: The engine.
        streaming: Whether a source is unbounded.
        extra: More of Beam's options.
        accept_open: Whether Prism may be open to the network (``--allow-open-prism``).
        flink: How the job runs on Flink.

    Raises:
        ConfigurationError: If an option is wrong or absent, an unbounded source is given to
            the direct runner, or Prism would be open to the internet.
        EngineUnavailable: If the engine cannot be had here; the text says what to do.
    """
    if engine is Engine.DIRECT and streaming:
        msg = "the direct runner takes no unbounded source; give --runner prism, or files"
        raise ConfigurationError(msg)
    if engine is Engine.FLINK:
        with flink_session(flink or FlinkOptions(), extra) as found:
            options = pipeline_options(engine, streaming=streaming, extra=[*found, *extra])
            yield _start(build, engine, options)
        return
    if engine is not Engine.PRISM:
        options = pipeline_options(engine, streaming=streaming, extra=extra)
        yield _start(build, engine, options)
        return
    prism, reason = find_prism()
    if prism is None:
        msg = (
            f"there is {reason}. Beam downloads it at the first run; without a network, set "
            f"QUORUM_PRISM to its binary. Or give --runner direct, knowing that {DIRECT_RISK}"
        )
        raise EngineUnavailable(msg)
    runner = guarded_runner(accept_open=accept_open)
    with worker_pool() as pool:
        options = pipeline_options(
            engine, streaming=streaming, extra=extra, prism=prism, worker_pool=pool
        )
        yield _start(build, engine, options, runner)


def _start(build: Any, engine: Engine, options: PipelineOptions, runner: Any = None) -> Any:
    try:
        pipeline = beam.Pipeline(runner=runner or _runner(engine), options=options)
    except (ValueError, ImportError) as error:
        raise _cannot_be_had(engine, error) from None
    build(pipeline)
    if engine is Engine.DIRECT:
        return pipeline.run()
    try:
        # The job is handed over here, and runs elsewhere: what fails is the engine.
        with _without_traces_of_beam():
            return pipeline.run()
    except _NOT_TAKEN as error:
        raise _cannot_be_had(engine, error) from None


@contextmanager
def _without_traces_of_beam() -> Iterator[None]:
    """Keep what Beam tells of an engine that does not start out of the way of our own error.

    Beam logs each of its attempts, and closes channels under gRPC's own threads.
    """
    log = logging.getLogger("apache_beam.utils.subprocess_server")
    level = log.level
    log.setLevel(logging.CRITICAL)
    if threading.excepthook is not _unless_closed:
        threading.excepthook = _unless_closed
    try:
        yield
    finally:
        log.setLevel(level)


_told_before = threading.excepthook


def _unless_closed(args: Any) -> None:
    """Report an exception of a thread, unless it is of a channel that was closed.

    So it is where Beam follows a job by a job server of ours, and we end before the job.
    """
    error = args.exc_value
    follows = args.thread is not None and args.thread.name.startswith("wait_until_finish")
    closed = isinstance(error, ValueError) and "Channel closed" in str(error)
    if closed or (follows and isinstance(error, grpc.RpcError)):
        _log.debug("a channel was closed: %s", error)
        return
    _told_before(args)


def _cannot_be_had(engine: Engine, error: Exception) -> QuorumError:
    """The error of an engine that did not take a job, in one line."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    what = " ".join(lines)[:_ERROR_CHARACTERS].rstrip(". ") or type(error).__name__
    msg = f"the engine {engine.value} took no job: {what}. {_MENDS[engine]}"
    if isinstance(error, ValueError):
        return ConfigurationError(msg)
    return EngineUnavailable(msg)


def cancel(result: Any, seconds: float = 10.0) -> None:
    """Stop a running job; waits no longer than ``seconds`` for the engine's answer."""
    thread = threading.Thread(target=_cancel, args=(result,), daemon=True)
    thread.start()
    thread.join(seconds)


def _cancel(result: Any) -> None:
    try:
        result.cancel()
    except Exception as error:  # the job is ending either way
        _log.debug("cancel: %s", error)
