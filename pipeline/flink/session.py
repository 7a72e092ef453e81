"""From the options of a job on Flink to Beam's, with all that must be there beforehand."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager

import grpc
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.portability.api import beam_job_api_pb2, beam_job_api_pb2_grpc

from quorum.core.errors import ConfigurationError, EngineUnavailable
from quorum.pipeline.flink.cluster import FlinkCluster, checked_address, is_open
from quorum.pipeline.flink.job_server import job_server
from quorum.pipeline.flink.options import FlinkOptions, FlinkWorkers
from quorum.pipeline.worker_pool import worker_pool

__all__ = ["flink_master", "flink_session"]

_SECONDS = 10.0
_LOOPBACK = ("localhost", "127.0.0.1", "[::1]")


def flink_master(flink: FlinkOptions, extra: Sequence[str] = ()) -> str:
    """``HOST:PORT`` of the JobManager's REST interface.

    Raises:
        ConfigurationError: If it is not given.
    """
    master = flink.master or _value(extra, "--flink_master")
    if not master:
        msg = "--runner flink needs --flink-master, such as --flink-master jobmanager:8081"
        raise ConfigurationError(msg)
    return master


@contextmanager
def flink_session(flink: FlinkOptions, extra: Sequence[str] = ()) -> Iterator[list[str]]:
    """Beam's options for a job on Flink, while its job server and local workers run.

    Args:
        flink: How the job runs.
        extra: More options in Beam's own words.

    Raises:
        ConfigurationError: If an option is absent or unknown, the cluster keeps no checkpoints, or
            a version differs.
        EngineUnavailable: If cluster, job server or workers are not there.
    """
    master = flink_master(flink, extra)
    if flink.detach and flink.workers is FlinkWorkers.LOCAL:
        msg = "--detach ends this process, and --flink-workers local runs the workers in it; start "
        msg += "`quorum worker-pool` beside each TaskManager"
        raise ConfigurationError(msg)
    endpoint = flink.job_endpoint or _value(extra, "--job_endpoint")
    cluster = FlinkCluster.at(master)
    args = [f"--flink_master={master}"]
    if flink.job_name:
        args.append(f"--job_name={flink.job_name}")
        if running := cluster.running(flink.job_name):
            msg = (
                f"the job {flink.job_name} runs already on {cluster.url}, as {running}: two jobs "
                "on one subscription would each have a part of each case; stop it first "
                "(quorum jobs stop), or put this one in its place (quorum jobs upgrade)"
            )
            raise ConfigurationError(msg)
    cluster.check(allow_loss=flink.allow_loss)
    with ExitStack() as held:
        if not _value(extra, "--environment_type"):
            args += _environment(flink, master, held)
        if endpoint is None:
            if cluster.url.startswith("https://"):
                msg = (
                    "the job server that is started speaks no TLS to the cluster: give the "
                    "--job-endpoint of one that does, by its --flink-conf-dir (docs/flink.md)"
                )
                raise ConfigurationError(msg)
            endpoint = held.enter_context(job_server(master, cluster.version()))
        elif not is_open(endpoint):
            msg = f"no job server of Beam listens at {endpoint}; start it, or leave the option out"
            raise EngineUnavailable(msg)
        _check_names(extra, _option_names(endpoint))
        yield [*args, f"--job_endpoint={endpoint}"]


def _environment(flink: FlinkOptions, master: str, held: ExitStack) -> list[str]:
    match flink.workers:
        case FlinkWorkers.DOCKER:
            return ["--environment_type=DOCKER"]
        case FlinkWorkers.LOCAL:
            pool = held.enter_context(worker_pool())
        case FlinkWorkers.POOL:
            pool = checked_address(flink.pool)
            # Beside a TaskManager elsewhere it cannot be seen from here.
            if _is_loopback(master) and _is_loopback(pool) and not is_open(pool):
                msg = (
                    f"no worker pool listens at {pool}; start `quorum worker-pool` beside each "
                    "TaskManager, or run the workers in this process with --flink-workers local"
                )
                raise EngineUnavailable(msg)
    return ["--environment_type=EXTERNAL", f"--environment_config={pool}"]


def _is_loopback(address: str) -> bool:
    host = address.split("://")[-1].rpartition(":")[0]
    return host in _LOOPBACK


def _value(extra: Sequence[str], option: str) -> str | None:
    """What a user gave for one of Beam's options, as ``--option=value`` or in two words."""
    for index, each in enumerate(extra):
        if each.startswith(f"{option}="):
            return each.partition("=")[2]
        if each == option and index + 1 < len(extra):
            return extra[index + 1]
    return None


def _option_names(endpoint: str) -> set[str]:
    """The options that a job server knows.

    Raises:
        EngineUnavailable: If what listens there does not answer as one: Beam would wait for it
            without end.
    """
    try:
        with grpc.insecure_channel(endpoint) as channel:
            described = beam_job_api_pb2_grpc.JobServiceStub(channel).DescribePipelineOptions(
                beam_job_api_pb2.DescribePipelineOptionsRequest(), timeout=_SECONDS
            )
    except grpc.RpcError as error:
        msg = f"what listens at {endpoint} does not answer as Beam's job server: "
        raise EngineUnavailable(msg + error.code().name) from None
    return {one.name for one in described.options}


def _check_names(extra: Sequence[str], known: set[str]) -> None:
    """Refuse an option that neither Beam nor the job server knows: Beam drops it in silence.

    Args:
        extra: Options in Beam's words.
        known: The job server's options.

    Raises:
        ConfigurationError: If there is one.
    """
    given = {each.split("=")[0].removeprefix("--") for each in extra if each.startswith("--")}
    unknown = given - set(PipelineOptions().get_all_options())
    for name in sorted(unknown - known):
        near = difflib.get_close_matches(name, [*known, *PipelineOptions().get_all_options()], n=1)
        hint = f"; did you mean --{near[0]}?" if near else ""
        msg = f"neither Beam nor Flink knows the option --{name}{hint}"
        raise ConfigurationError(msg)
