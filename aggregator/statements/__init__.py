"""Statements of reasons, and their texts in one file a language."""
