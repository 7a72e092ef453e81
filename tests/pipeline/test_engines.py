"""What each engine is asked for, and what a user is told where one cannot be had."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import apache_beam as beam
import grpc
import pytest
from apache_beam.options.pipeline_options import (
    DebugOptions,
    SetupOptions,
    StandardOptions,
    WorkerOptions,
)
from apache_beam.runners.portability.prism_runner import PrismJobServer, PrismRunner
from apache_beam.transforms.periodicsequence import PeriodicImpulse
from apache_beam.utils.shared import Shared as SharedHandle
from google.api_core.exceptions import NotFound
from google.auth.exceptions import DefaultCredentialsError

from quorum.core.errors import ConfigurationError, EngineUnavailable, QuorumError
from quorum.pipeline import engines
from quorum.pipeline.engines import (
    DIRECT_RISK,
    Engine,
    acknowledge_on,
    cancel,
    find_prism,
    launch,
    pipeline_options,
)
from quorum.pipeline.streams.base import Acknowledge

DATAFLOW = ["--project=p", "--region=europe-west1", "--temp_location=gs://b/t"]


def build(_: Any) -> None:
    pytest.fail("nothing is built where the engine cannot be had")


def given(engine: Engine, *extra: str, streaming: bool = True, **more: str) -> dict[str, Any]:
    options = pipeline_options(engine, streaming=streaming, extra=extra, **more)
    # Options of Flink's own are known to its job server only.
    return options.get_all_options(retain_unknown_options=True)


def test_prism_runs_workers_of_this_process_without_the_slow_cache() -> None:
    made = given(Engine.PRISM, prism="/bin/prism", worker_pool="127.0.0.1:5")
    assert made["prism_location"] == "/bin/prism"
    assert (made["environment_type"], made["environment_config"]) == ("EXTERNAL", "127.0.0.1:5")
    assert made["max_cache_memory_usage_mb"] == 0
    assert made["streaming"] is True


def test_direct_runs_in_one_thread_of_this_process() -> None:
    made = given(Engine.DIRECT, streaming=False)
    assert (made["direct_num_workers"], made["direct_running_mode"]) == (1, "in_memory")
    assert not made["streaming"]


def test_flink_checkpoints_and_does_not_wait_for_full_bundles() -> None:
    options = pipeline_options(Engine.FLINK, streaming=True)
    made = given(Engine.FLINK)
    assert int(made["max_bundle_time_mills"]) == 5
    assert int(made["checkpointing_interval"]) == 1000
    # Else what a step put out at a checkpoint waits for its next bundle.
    assert made["finish_bundle_before_checkpointing"]
    assert options.view_as(WorkerOptions).max_cache_memory_usage_mb == 0


def test_dataflow_runs_portable_with_our_package() -> None:
    options = pipeline_options(Engine.DATAFLOW, streaming=True, extra=DATAFLOW)
    assert "use_runner_v2" in options.view_as(DebugOptions).experiments
    assert options.view_as(SetupOptions).setup_file == "./setup.py"
    assert options.view_as(StandardOptions).streaming


@pytest.mark.parametrize(
    ("engine", "extra", "lacking"),
    [
        (Engine.DATAFLOW, ["--project_of=x", *DATAFLOW[1:]], "--project"),
        (Engine.DATAFLOW, DATAFLOW[1:], "--project"),
        (Engine.DATAFLOW, DATAFLOW[:1] + DATAFLOW[2:], "--region"),
        (Engine.DATAFLOW, DATAFLOW[:2], "--temp_location"),
    ],
)
def test_an_option_that_lacks_is_named_with_an_example(
    engine: Engine, extra: list[str], lacking: str
) -> None:
    with pytest.raises(ConfigurationError) as caught:
        pipeline_options(engine, streaming=True, extra=extra)
    told = str(caught.value)
    assert f"--runner {engine.value} needs {lacking} (" in told
    assert "after `--`" in told


def test_the_users_own_options_win() -> None:
    made = given(Engine.FLINK, "--max_bundle_time_mills=7")
    assert int(made["max_bundle_time_mills"]) == 7


@pytest.mark.parametrize("engine", list(Engine))
def test_acknowledgement_is_at_the_verdict_only_without_a_checkpoint(engine: Engine) -> None:
    at_checkpoint = engine in (Engine.FLINK, Engine.DATAFLOW)
    expected = Acknowledge.CHECKPOINT if at_checkpoint else Acknowledge.VERDICT
    assert acknowledge_on(engine) is expected


def test_the_direct_runner_refuses_an_unbounded_stream_and_says_why() -> None:
    with pytest.raises(ConfigurationError) as caught, launch(build, Engine.DIRECT, streaming=True):
        pass
    assert "--runner prism" in str(caught.value)
    assert "--runner prism" in str(caught.value)


def test_without_prism_what_to_do_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_network(*_: Any) -> str:
        msg = "Unable to fetch remote job server jar"
        raise RuntimeError(msg)

    monkeypatch.delenv("QUORUM_PRISM", raising=False)
    monkeypatch.setattr(PrismJobServer, "local_bin", no_network)
    with pytest.raises(EngineUnavailable) as caught, launch(build, Engine.PRISM, streaming=True):
        pass
    told = str(caught.value)
    assert "no Prism" in told
    assert "Unable to fetch" in told
    assert "QUORUM_PRISM" in told
    assert "--runner direct" in told
    assert DIRECT_RISK in told
    assert caught.value.exit_code == 69


def test_a_prism_that_is_no_file_is_a_mistake_of_the_settings(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("QUORUM_PRISM", str(tmp_path / "absent"))
    with pytest.raises(ConfigurationError, match=r"QUORUM_PRISM names .*absent"):
        find_prism()


def test_a_prism_that_cannot_be_run_is_a_mistake_of_the_settings(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "prism").write_text("not a program")
    monkeypatch.setenv("QUORUM_PRISM", str(tmp_path / "prism"))
    with pytest.raises(ConfigurationError, match="chmod"):
        find_prism()


def test_a_prism_that_does_not_start_is_told_in_one_line(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    program = tmp_path / "prism"
    program.write_text("#!/bin/sh\nexit 3\n")
    program.chmod(0o755)
    monkeypatch.setenv("QUORUM_PRISM", str(program))
    with (
        pytest.raises(EngineUnavailable) as caught,
        launch(lambda made: made | beam.Create([1]), Engine.PRISM, streaming=False),
    ):
        pass
    assert "the engine prism took no job" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert caught.value.exit_code == 69
    told = capfd.readouterr()
    assert "Traceback" not in told.out + told.err
    assert "Failed to start" not in told.out + told.err


@contextmanager
def _no_session(*_: Any) -> Iterator[list[str]]:
    yield ["--flink_master=x:1"]


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (RuntimeError("Unable to fetch remote job server jar\nat https://x"), 69),
        (FileNotFoundError(2, "No such file or directory: 'java'"), 69),
        (DefaultCredentialsError("no credentials"), 69),
        (NotFound("no such project"), 69),
        (ValueError("Pipeline has validation errors:\nInvalid Project ID"), 78),
    ],
)
def test_what_an_engine_raises_instead_of_a_job_is_told_in_one_line(
    monkeypatch: pytest.MonkeyPatch, error: Exception, code: int
) -> None:
    def refuse(_: Any) -> None:
        raise error

    monkeypatch.setattr(beam.Pipeline, "run", refuse)
    monkeypatch.setattr(engines, "flink_session", _no_session)
    with (
        pytest.raises(QuorumError) as caught,
        launch(lambda _: None, Engine.FLINK, streaming=False),
    ):
        pass
    assert caught.value.exit_code == code
    assert "\n" not in str(caught.value)
    assert str(error).splitlines()[0][:20] in str(caught.value)


def test_a_fault_of_the_graph_is_no_engine_that_is_away(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_: Any) -> None:
        msg = "a fault of ours"
        raise RuntimeError(msg)

    monkeypatch.setattr(engines, "flink_session", _no_session)
    with (
        pytest.raises(RuntimeError, match="a fault of ours"),
        launch(broken, Engine.FLINK, streaming=False),
    ):
        pass


def test_prism_by_name_is_used_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("QUORUM_PRISM", sys.executable)
    assert find_prism() == (sys.executable, sys.executable)


def test_a_job_that_hangs_when_it_is_cancelled_does_not_hold_up() -> None:
    import threading

    class Hanging:
        def cancel(self) -> None:
            threading.Event().wait(5)

    engines.cancel(Hanging(), seconds=0.05)


def test_a_job_that_fails_when_it_is_cancelled_is_no_failure() -> None:
    class Failing:
        def cancel(self) -> None:
            raise RuntimeError

    engines.cancel(Failing())


def test_a_stream_outlives_the_deadline_of_requests_to_the_job_server(prism: str) -> None:
    """Without our option this job ends as FAILED after two seconds."""

    def unending(pipeline: beam.Pipeline) -> None:
        _ = pipeline | PeriodicImpulse(fire_interval=0.5)

    with launch(unending, Engine.PRISM, streaming=True, extra=["--job_server_timeout=2"]) as result:
        ended: list[object] = []
        waiting = threading.Thread(target=lambda: ended.append(_outcome(result)), daemon=True)
        waiting.start()
        waiting.join(6.0)
        assert not ended
        cancel(result)


def _outcome(result: Any) -> object:
    try:
        return result.wait_until_finish()
    except Exception as error:
        return error


def test_a_prism_that_beam_shares_in_this_process_is_not_used(
    prism: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Beam's own pipelines may have made one without our binary."""

    class Shared:
        def start(self) -> str:
            pytest.fail("the shared server is used")

    def bounded(pipeline: beam.Pipeline) -> None:
        _ = pipeline | beam.Create([1])

    # Beam keeps what was acquired last alive: not for the tests that follow.
    monkeypatch.setattr(PrismRunner, "shared_handle", SharedHandle())
    kept = PrismRunner.shared_handle.acquire(Shared)
    with launch(bounded, Engine.PRISM, streaming=False) as result:
        assert result.wait_until_finish() == "DONE"
    del kept


@pytest.mark.parametrize(
    ("name", "error", "told"),
    [
        ("wait_until_finish_read", grpc.RpcError("socket closed"), False),
        ("other", ValueError("Channel closed!"), False),
        ("other", grpc.RpcError("socket closed"), True),
        ("wait_until_finish_read", ValueError("a fault"), True),
    ],
)
def test_what_beam_says_of_a_job_server_that_ends_before_the_job_is_no_fault(
    monkeypatch: pytest.MonkeyPatch, name: str, error: Exception, told: bool
) -> None:
    seen: list[Any] = []
    monkeypatch.setattr(engines, "_told_before", seen.append)
    args = threading.ExceptHookArgs((type(error), error, None, threading.Thread(name=name)))
    engines._unless_closed(args)
    assert bool(seen) is told
