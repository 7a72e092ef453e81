"""The policy: its values, its language, its reader."""
