"""The reviewers' web console."""
