"""Dataflow's template launcher starts this: ``quorum stream``, with the template's parameters.

The launcher gives what ``metadata.json`` declares and Beam's own options in one list, as
``--name=value``; names of Dataflow's parameters have no dashes.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

METADATA = Path(__file__).with_name("metadata.json")

#: ``quorum stream`` sets the runner itself.
_OURS = "runner"


def words(given: list[str]) -> list[str]:
    """The words of the command, of what the launcher gives."""
    parameters = {each["name"] for each in json.loads(METADATA.read_text())["parameters"]}
    options, beams = [], []
    for each in given:
        name, equals, value = each.removeprefix("--").partition("=")
        if name in parameters:
            if value:
                options.append(f"--{name.replace('_', '-')}={value}")
        elif name != _OURS or not equals:
            beams.append(each)
    return ["stream", "--runner=dataflow", *options, "--", *beams]


if __name__ == "__main__":
    from quorum.apps.cli import main

    sys.argv[1:] = words(sys.argv[1:])
    main()
