"""A fourth harm for Quorum: scams."""
