"""The transparency report of the DSA (Articles 15, 24 and 42), counted from the ledger."""
