"""Another domain on the same framework: one event, three consumers, and a batch."""

import logging

from quorum.core.logs import configure_logs

# The commands print what they have to say, and not the notes of libraries.
if not logging.getLogger().handlers:
    configure_logs(level="warning")
