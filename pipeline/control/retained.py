"""The checkpoints that a cluster keeps after its job: on a disk, or a storage that Beam reads."""

from __future__ import annotations

import re

from quorum.core.errors import ConfigurationError, EngineUnavailable

__all__ = ["last_checkpoint"]

_NUMBER = re.compile(r"/chk-(\d+)/_metadata$")


def last_checkpoint(folder: str, job: str) -> str:
    """The last completed checkpoint of a job.

    Args:
        folder: The cluster's folder of checkpoints, as its configuration names it.
        job: The job's id.

    Raises:
        ConfigurationError: If there is none.
        EngineUnavailable: If the folder cannot be read from here.
    """
    if not folder:
        msg = "the cluster has no folder for checkpoints; give a savepoint with --from"
        raise ConfigurationError(msg)
    from apache_beam.io.filesystem import BeamIOError
    from apache_beam.io.filesystems import FileSystems

    local = re.sub(r"^file:(//)?(?=/)", "", folder).rstrip("/")
    try:
        (found,) = FileSystems.match([f"{local}/{job}/chk-*/_metadata"])
    except (BeamIOError, ValueError) as error:
        msg = f"the checkpoints in {folder} cannot be read from here ({error}); name one by --from"
        raise EngineUnavailable(msg) from None
    numbers = {
        int(number[1]): one.path
        for one in found.metadata_list
        if (number := _NUMBER.search(one.path))
    }
    if not numbers:
        msg = (
            f"the cluster keeps no checkpoint of job {job} in {folder}: start without state, and "
            "bring the open cases back by `quorum jobs restore`"
        )
        raise ConfigurationError(msg)
    last = numbers[max(numbers)].removesuffix("/_metadata")
    return f"file://{last}" if last.startswith("/") else last
