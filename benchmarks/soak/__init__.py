"""A soak of the stream: a workload, faults, a recorded history, and a checker that reads it."""
