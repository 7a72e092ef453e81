"""Copyright: finds registered works inside uploads, and which seconds of which work."""
