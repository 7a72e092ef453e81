"""Messages, settings, errors, logs and reports: used by all other packages."""
