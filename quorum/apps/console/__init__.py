"""The reviewers' console: see, decide, appeal, learn."""
