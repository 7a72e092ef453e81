"""Whether this machine has what the settings need: what is missing, and what then does not work."""
