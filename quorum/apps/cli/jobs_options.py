"""Where the jobs are that ``quorum jobs`` speaks of, and which one is meant."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import typer

from quorum.core.errors import ConfigurationError

if TYPE_CHECKING:
    from quorum.pipeline.control.dataflow_jobs import DataflowJobs
    from quorum.pipeline.control.flink_jobs import FlinkJobs
    from quorum.pipeline.control.records import StartedJob

__all__ = ["AsJson", "JobName", "Place", "subscriptions_of"]

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
JobName = Annotated[
    str, typer.Argument(help="The job: its id, the beginning of its id, or its name.")
]

_SUBSCRIPTION = re.compile(r"projects/[^/\s=]+/subscriptions/[^/\s=]+")


@dataclass(frozen=True)
class Place:
    """The cluster of the jobs."""

    flink_master: Annotated[
        str | None,
        typer.Option(
            help="HOST:PORT of the REST interface of Flink's JobManager.", show_default=False
        ),
    ] = None
    project: Annotated[
        str | None,
        typer.Option(help="For Dataflow: the Google Cloud project.", show_default=False),
    ] = None
    region: Annotated[
        str | None, typer.Option(help="For Dataflow: such as europe-west1.", show_default=False)
    ] = None

    def service(self) -> FlinkJobs | DataflowJobs:
        """The jobs there.

        Raises:
            ConfigurationError: If the options name no cluster, or two.
        """
        if self.flink_master and not (self.project or self.region):
            return self.flink()
        if self.flink_master or not (self.project and self.region):
            msg = (
                "say where the jobs are: --flink-master HOST:PORT, or --project and --region "
                "for Dataflow"
            )
            raise ConfigurationError(msg)
        from quorum.pipeline.control.dataflow_jobs import DataflowJobs

        return DataflowJobs(self.project, self.region)

    def flink(self) -> FlinkJobs:
        """The jobs of a Flink cluster.

        Raises:
            ConfigurationError: If the options name none.
        """
        from quorum.pipeline.control.flink_jobs import FlinkJobs
        from quorum.pipeline.flink.cluster import FlinkCluster

        if not self.flink_master:
            msg = "this is for Flink: give --flink-master HOST:PORT"
            raise ConfigurationError(msg)
        return FlinkJobs(FlinkCluster.at(self.flink_master))

    def recorded(self, name: str) -> StartedJob | None:
        """How a job was started from this machine; None if it was not."""
        from quorum.pipeline.control.records import recorded

        service = self.service()
        return recorded(service.place, name)


def subscriptions_of(command: Sequence[str]) -> list[str]:
    """The subscriptions that a command reads."""
    return list(dict.fromkeys(found for one in command for found in _SUBSCRIPTION.findall(one)))
