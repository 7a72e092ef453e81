"""Another domain on the same framework: one event, three consumers, and a batch."""
