"""Spam: text with unsolicited promotion."""
