"""Descriptions of well-known models of the Hugging Face Hub, to copy and to adapt."""
