"""Benchmarks: each prints ratios against a named peer, measured in the same run."""

import logging

from quorum.core.logs import configure_logs

# The commands print what they have to say, and not the notes of libraries.
if not logging.getLogger().handlers:
    configure_logs(level="warning")
