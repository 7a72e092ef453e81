"""NSFW: explicit pictures in frames."""
