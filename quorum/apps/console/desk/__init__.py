"""The review workflow without HTML: tasks, claims, decisions, appeals, quality, labels."""
