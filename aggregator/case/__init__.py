"""One upload over time: what arrives, in any order, and when it is decided."""
