"""Benchmarks: each prints ratios against a named peer, measured in the same run."""

from quorum.core.logs import quiet_libraries

# The commands print what they have to say, and not the notes of libraries.
quiet_libraries()
