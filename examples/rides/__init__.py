"""Another domain on the same framework: one event, three consumers, and a batch."""

from quorum.core.logs import quiet_libraries

# The commands print what they have to say, and not the notes of libraries.
quiet_libraries()
