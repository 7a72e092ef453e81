"""A table of uploads to a table of predictions and verdicts."""
