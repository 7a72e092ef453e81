"""What reviewers do: tasks, claims, decisions, appeals, labels; no HTML."""
