"""Spam: text that promotes something where nobody asked for it."""
