"""The catalogue of registered works and their fingerprints."""
