"""What every other room stands on: messages, settings, errors, logs."""
