"""The policies that ship, each with its golden cases beside it."""
