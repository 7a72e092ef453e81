"""NSFW: explicit pictures in the frames of an upload's media."""
