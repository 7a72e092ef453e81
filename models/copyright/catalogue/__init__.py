"""The registered reference works, and their index."""
