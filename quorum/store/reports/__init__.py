"""Users' reports: taken, deduplicated by content, weighed by track record, and answered."""
