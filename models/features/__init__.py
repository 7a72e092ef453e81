"""Features computed once per upload and shared by all detectors: text, embedding, frames, audio."""
