"""The ledger, writers that retry, and look-ups of uploaders' histories."""
