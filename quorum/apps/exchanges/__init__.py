"""Exchanges of hashes: what they list is pulled, and they are told what people here say of it."""
