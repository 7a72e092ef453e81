"""Sealed cases: child-abuse material, from the match of a hash to the end of its preservation."""
