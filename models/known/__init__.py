"""Hashes that exchanges and authorities list: which uploads match, which entries were denied."""
