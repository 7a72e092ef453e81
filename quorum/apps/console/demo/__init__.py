"""The demo: a ledger seeded with synthetic cases and reviews."""
