"""Features made once an upload and shared by all detectors: text, embedding, frames, audio."""
