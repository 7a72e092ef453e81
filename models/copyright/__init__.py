"""Copyright: finds registered works in uploads, with the matching seconds of both."""
