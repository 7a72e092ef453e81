"""The decision: policies and cases, without any framework."""
