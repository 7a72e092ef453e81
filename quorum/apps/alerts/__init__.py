"""Alerts to people: what is written to whom, and the process that looks and sends."""
