"""Features over time: what is known of an upload from other uploads with a key in common."""
