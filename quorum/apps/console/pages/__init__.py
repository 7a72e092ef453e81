"""The console as HTML: one module a page."""
