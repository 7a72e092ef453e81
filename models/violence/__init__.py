"""Violence: threats, incitement and graphic accounts in text; fights and gore in frames."""
