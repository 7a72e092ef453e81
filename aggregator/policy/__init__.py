"""Policies: their values, their condition language, and their reader."""
