"""``python -m quorum``: the same as the command ``quorum``."""

from quorum.apps.cli import main

main()
