"""From an upload's fingerprint to the works that it copies."""
