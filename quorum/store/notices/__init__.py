"""Notices that a law gives a clock: intimate images without consent, copyright, counter-notices."""
