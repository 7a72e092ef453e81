"""One decision: from a policy, an upload and predictions to an action."""
