"""The database of what was decided, and what it remembers of an uploader."""
