"""A console filled with made-up cases."""
