"""``python -m quorum``: the same as the command ``quorum``."""

from quorum.cli import main

main()
