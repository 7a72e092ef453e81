"""Violence: threats, incitement and graphic accounts in words, fights in frames."""
